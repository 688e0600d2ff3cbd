// @ts-check
// The links to partners: what we give, what we get, and why one is silent.
//
// A mark means that somebody should look. Silence alone is none: a partner with nothing to tell sends
// nothing. Marked is what is known to be wrong: a broker that is not reached, rows that wait for an
// acknowledgement, tracks that have all gone stale, gaps that do not close, what was refused lately.

import { showFacts } from "./facts.js";
import { NONE, duration, number } from "./format.js";

/** Time after which what is awaited is late, s: a partner's node acknowledges twice a second. */
const LATE_S = 10;
/** Span over which it is seen whether gaps close and anything is refused, s. */
const WINDOW_S = 15;

/** @typedef {Record<string, any>} Plain */
/** @typedef {import("./facts.js").Fact} Fact */
/** @typedef {{node: string, trouble: boolean, state: string, facts: Fact[]}} Link */
/** @typedef {{tracks: number, stale: number, late: number}} Shown tracks; stale; stale for longer than `LATE_S` */
/** @typedef {{gaps: number, refused: number}} Counts */

/** What of each partner's is on the page. @param {import("./tracks.js").Tracks} tracks @param {number} now ms */
export function shownOf(tracks, now) {
  /** @type {Map<string, Shown>} */
  const found = new Map();
  for (const track of tracks) {
    if (!track.foreign) continue;
    const node = tracks.nodeOf(track);
    const shown = found.get(node) ?? { tracks: 0, stale: 0, late: 0 };
    shown.tracks += 1;
    shown.stale += Number(track.isStale(now));
    shown.late += Number(now - track.staleAt > 1000 * LATE_S);
    found.set(node, shown);
  }
  return found;
}

export class PartnerHealth {
  constructor() {
    /** Counts of the last seconds, by partner and agreement. @type {Array<{at: number, counts: Map<string, Counts>}>} */
    this.samples = [];
    /** @type {Link[]} */
    this.links = [];
  }

  /** Partners that somebody should look at. */
  get troubled() {
    return this.links.filter(({ trouble }) => trouble).length;
  }

  /** Take in a status. @param {Plain | null | undefined} status @param {Map<string, Shown>} shown by partner */
  take(status, shown) {
    const partners = list(status?.partners);
    this.sample(partners, Number(status?.core?.time_ns) / 1e9);
    this.links = partners.map((partner) => this.judge(partner, shown.get(String(partner.node))));
  }

  /** @param {Plain[]} partners @param {number} at s */
  sample(partners, at) {
    const last = this.samples.at(-1)?.at ?? -Infinity;
    if (!Number.isFinite(at) || at === last) return;
    if (at < last) this.samples = []; // the clock was set back
    const counts = new Map(partners.flatMap((partner) => list(partner.in).map((row) => [keyOf(partner, row), { gaps: Number(row.gaps) || 0, refused: sum(row.refused) }])));
    this.samples.push({ at, counts });
    while (this.samples.length > 2 && this.samples[1].at <= at - WINDOW_S) this.samples.shift();
  }

  /** @param {Plain} partner @param {Shown | undefined} shown @returns {Link} */
  judge(partner, shown) {
    const getting = list(partner.in).flatMap((row) => this.getting(row, keyOf(partner, row)));
    const facts = [...list(partner.out).flatMap(giving), ...getting, ...picture(shown)];
    const away = partner.connected === false || (partner.connected !== true && Boolean(partner.reason));
    const state = away ? `not connected${partner.reason ? `: ${partner.reason}` : ""}` : partner.connected ? "connected" : NONE;
    return { node: String(partner.node ?? "?"), state, trouble: away || facts.some(({ trouble }) => trouble), facts };
  }

  /** @param {Plain} row @param {string} key @returns {Fact[]} */
  getting(row, key) {
    const refused = Object.entries(row.refused ?? {}).filter(([, n]) => n > 0);
    const past = this.samples.flatMap(({ counts }) => counts.get(key) ?? []);
    const span = (this.samples.at(-1)?.at ?? 0) - (this.samples[0]?.at ?? 0);
    const open = span >= LATE_S && past.every(({ gaps }) => gaps > 0) && row.gaps >= past[0]?.gaps;
    const lately = past.length > 1 && past[past.length - 1].refused > past[0].refused;
    /** @type {Fact[]} */
    const facts = [
      { name: "We get", value: row.agreement || NONE, wide: true, head: true },
      { name: "Received", value: number(row.received, 0) },
      { name: "Last", value: age(row.last_s) },
      { name: "Gaps", value: number(row.gaps, 0), trouble: open },
    ];
    if (refused.length) facts.push({ name: "Refused", value: refused.map(([reason, n]) => `${reason.replaceAll("_", " ")} ${number(n, 0)}`).join(", "), wide: true, trouble: lately });
    return [...facts, ...silence(row)];
  }
}

/** @param {unknown} value @returns {Plain[]} */
const list = (value) => (Array.isArray(value) ? value : []);

/** @param {Plain} partner @param {Plain} row */
const keyOf = (partner, row) => `${partner.node} ${row.agreement}`;

/** @param {Record<string, number> | undefined} counts */
const sum = (counts) => Object.values(counts ?? {}).reduce((total, n) => total + n, 0);

/** @param {Plain} row @returns {Fact[]} */
function giving(row) {
  const active = row.state === "active";
  const never = typeof row.acked !== "number";
  const waiting = active && row.sent > (never ? 0 : row.acked);
  const late = waiting && (never ? row.no_ack_s : row.last_ack_s) > LATE_S;
  /** @type {Fact[]} */
  const facts = [
    { name: "We give", value: `${row.agreement || NONE}${row.state && !active ? ` (${row.state})` : ""}`, wide: true, head: true },
    { name: "Sent / acked", value: `${number(row.sent, 0)} / ${number(row.acked, 0)}`, trouble: late },
    { name: "Last ack", value: never && late ? `none for ${duration(row.no_ack_s)}` : age(row.last_ack_s), trouble: late },
  ];
  if (row.head_agrees === false) facts.push({ name: "Chain", value: "the partner's is not ours", wide: true, trouble: true });
  return [...facts, ...silence(row)];
}

/** @param {Shown | undefined} shown @returns {Fact[]} */
function picture(shown) {
  if (!shown) return [];
  const { tracks, stale, late } = shown;
  return [{ name: "On the map", value: `${number(tracks, 0)}${stale ? `, ${number(stale, 0)} stale` : ""}`, trouble: late === tracks }];
}

/** @param {unknown} seconds */
const age = (seconds) => (typeof seconds === "number" ? `${duration(seconds)} ago` : NONE);

/** @param {Plain} row @returns {Fact[]} */
const silence = (row) => (row.why_silent ? [{ name: "Silent", value: String(row.why_silent), wide: true, trouble: true }] : []);

/** @param {HTMLElement} parent @param {Link[]} links */
export function showPartners(parent, links) {
  const hint = /** @type {HTMLElement} */ (parent.querySelector(".hint"));
  hint.hidden = links.length > 0;
  const cards = [...parent.querySelectorAll("article")];
  for (const card of cards.slice(links.length)) card.remove();
  links.forEach((link, index) => {
    const card = cards[index] ?? parent.appendChild(newCard());
    card.dataset.trouble = String(link.trouble);
    const [name, state] = /** @type {HTMLElement} */ (card.firstElementChild).children;
    if (name.textContent !== link.node) name.textContent = link.node;
    if (state.textContent !== link.state) state.textContent = link.state;
    showFacts(card, link.facts);
  });
}

function newCard() {
  const card = document.createElement("article");
  const head = document.createElement("h3");
  head.append(document.createElement("b"), document.createElement("span"));
  card.append(head);
  return card;
}
