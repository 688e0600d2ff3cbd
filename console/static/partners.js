// @ts-check
// The links to partners: what we give, what we get, and why one is silent.

import { showFacts } from "./facts.js";
import { NONE, duration, number } from "./format.js";

/** Age of an acknowledgement or of a batch from which it is marked, s. */
const LATE_S = 10;

/** @typedef {Record<string, any>} Plain */
/** @typedef {import("./facts.js").Fact} Fact */
/** @typedef {{node: string, trouble: boolean, state: string, facts: Fact[]}} Link */

/** What is to be said of each partner. @param {Plain | null | undefined} status @returns {Link[]} */
export function judgePartners(status) {
  const partners = Array.isArray(status?.partners) ? status.partners : [];
  return partners.map((/** @type {Plain} */ partner) => {
    const facts = [...list(partner.out).flatMap(giving), ...list(partner.in).flatMap(getting)];
    const away = partner.connected === false;
    const state = away ? `not connected${partner.reason ? `: ${partner.reason}` : ""}` : partner.connected ? "connected" : NONE;
    return { node: String(partner.node ?? "?"), state, trouble: away || facts.some(({ trouble }) => trouble), facts };
  });
}

/** @param {unknown} value @returns {Plain[]} */
const list = (value) => (Array.isArray(value) ? value : []);

/** @param {Plain} row @returns {Fact[]} */
function giving(row) {
  const waiting = Number(row.sent) - Number(row.acked);
  const late = waiting > 0 && row.last_ack_s > LATE_S;
  const state = row.state && row.state !== "active" ? ` (${row.state})` : "";
  return [
    { name: "We give", value: `${row.agreement ?? NONE}${state}`, wide: true, head: true },
    { name: "Sent / acked", value: `${number(row.sent, 0)} / ${number(row.acked, 0)}`, trouble: late },
    { name: "Last ack", value: age(row.last_ack_s), trouble: late },
    ...silence(row),
  ];
}

/** @param {Plain} row @returns {Fact[]} */
function getting(row) {
  const refused = Object.entries(row.refused ?? {}).filter(([, n]) => n > 0);
  /** @type {Fact[]} */
  const facts = [
    { name: "We get", value: String(row.agreement ?? NONE), wide: true, head: true },
    { name: "Received", value: number(row.received, 0) },
    { name: "Last", value: age(row.last_s), trouble: row.last_s > LATE_S },
    { name: "Gaps", value: number(row.gaps, 0), trouble: row.gaps > 0 },
  ];
  if (refused.length) facts.push({ name: "Refused", value: refused.map(([reason, n]) => `${reason.replaceAll("_", " ")} ${number(n, 0)}`).join(", "), wide: true, trouble: true });
  return [...facts, ...silence(row)];
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
