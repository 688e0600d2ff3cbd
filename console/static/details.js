// @ts-check
// The card of the selected track: where and how fast, how sure, who saw it, whose it is.

import { showFacts } from "./facts.js";
import { NONE, bearing, clockTime, duration, number, position } from "./format.js";
import { ellipse } from "./geo.js";
import { className } from "./symbols.js";
import { AFFILIATION, REASON, STATUS } from "./tracks.js";

/** Knots per metre per second (1 kn = 1852 m/h, ISO 80000-3). */
const KNOTS = 3600 / 1852;
/** Least probability that is named. */
const LEAST = 0.005;

/** @typedef {import("./tracks.js").Track} Track */
/** @typedef {import("./tracks.js").Tracks} Tracks */
/** @typedef {import("./inquiry.js").Answer} Answer */
/** @typedef {import("./facts.js").Fact} Fact */

/**
 * @param {HTMLElement} parent @param {Tracks} tracks @param {Track | undefined} track
 * @param {Answer | null} answer what the inquiry brought @param {number} now ms
 */
export function showDetails(parent, tracks, track, answer, now) {
  const title = parent.querySelector("p") ?? parent.appendChild(document.createElement("p"));
  if (!track) {
    title.className = "hint";
    title.textContent = "None: click a track on the map or in the table.";
    delete parent.dataset.origin;
    showFacts(parent, []);
    return;
  }
  parent.dataset.origin = track.foreign ? "foreign" : "own";
  title.className = "spoken";
  const whose = track.foreign ? `  ‹${tracks.nodeOf(track)}›` : "";
  const spoken = `${track.number}  ${className(track.classification)} ${track.classProbability} %${whose}`;
  if (title.textContent !== spoken) title.textContent = spoken;
  showFacts(parent, [...place(track, now), ...life(track, now), ...(track.foreign ? given(tracks, track, now) : sensors(tracks, track, answer, now)), ...what(track, answer)]);
}

/**
 * The card of a selected track that is no longer there: its number alone, for what was withdrawn is
 * shown no longer.
 * @param {HTMLElement} parent
 */
export function showGone(parent) {
  const title = parent.querySelector("p");
  const [spoken] = title?.textContent?.split(/\s/) ?? [];
  if (title && title.textContent !== spoken) title.textContent = spoken;
  showFacts(parent, [{ name: "Status", value: "gone: deleted, or given no longer", wide: true, trouble: true }]);
}

/** @param {Track} track @param {number} now @returns {Fact[]} */
function place(track, now) {
  const [ee, en, nn] = track.spread(now);
  const { major, minor, azimuth } = ellipse(ee, en, nn);
  const along = ((((azimuth * 180) / Math.PI) % 180) + 180) % 180;
  return [
    { name: "Position", value: track.placed ? position(track.lat, track.lon) : "not known", wide: true },
    { name: "2σ ellipse", value: Number.isFinite(major) ? `± ${metres(2 * major)} × ${metres(2 * minor)} m, along ${bearing(along)}` : NONE, wide: true },
    { name: "Speed", value: Number.isFinite(track.speed) ? `${plusMinus(track.speed, track.speedSigma, 1)} m/s` : NONE },
    { name: "in knots", value: number(track.speed * KNOTS, 1, "kn") },
    { name: "Course", value: course(track) },
    { name: "Height (HAE)", value: Number.isFinite(track.height) ? `${number(track.height, 0)} m${climb(track.up)}` : NONE },
  ];
}

/** @param {number} value */
const metres = (value) => number(value, value < 10 ? 1 : 0);

/** @param {Track} track */
function course(track) {
  const sigma = track.courseSigma;
  return Number.isFinite(sigma) ? `${bearing(track.course)} ± ${sigma < 90 ? `${number(sigma, 0)}°` : "any"}` : bearing(track.course);
}

/** @param {number} up m/s */
const climb = (up) => (Number.isFinite(up) && Math.abs(up) >= 0.05 ? ` ${up > 0 ? "↑" : "↓"} ${number(Math.abs(up), 1)} m/s` : "");

/** @param {number} value @param {number} sigma @param {number} digits */
const plusMinus = (value, sigma, digits) => (Number.isFinite(sigma) ? `${number(value, digits)} ± ${number(sigma, digits)}` : number(value, digits));

/** @param {Track} track @param {number} now @returns {Fact[]} */
function life(track, now) {
  const stale = track.isStale(now);
  const left = Math.abs(track.staleAt - now) / 1000;
  return [
    { name: "Status", value: `${stale ? "stale" : STATUS[track.status] ?? "?"} (${REASON[track.reason] ?? "?"})`, trouble: stale },
    { name: "Existence", value: number(track.existence * 100, 1, "%") },
    { name: "Age", value: number(track.age(now), 1, "s"), trouble: stale },
    { name: stale ? "Stale for" : "Current for", value: duration(left), trouble: stale },
  ];
}

/** @param {Tracks} tracks @param {Track} track @param {number} now @returns {Fact[]} */
function given(tracks, track, now) {
  const { node, agreement, path } = tracks.giver(track);
  return [
    { name: "Given by", value: node },
    { name: "Agreement", value: agreement || NONE },
    { name: "Path", value: path.length ? `${path.join(" → ")} → here` : NONE, wide: true },
    { name: "Sent", value: ago(track.sentAt, now) },
    { name: "Received", value: ago(track.receivedAt, now) },
  ];
}

/** @param {number} at ms @param {number} now */
const ago = (at, now) => (Number.isFinite(at) ? `${number((now - at) / 1000, 1, "s")} ago` : NONE);

/** @param {Tracks} tracks @param {Track} track @param {Answer | null} answer @param {number} now @returns {Fact[]} */
function sensors(tracks, track, answer, now) {
  const heard = new Map((answer?.contributions ?? []).map(({ sensor, time }) => [sensor, (now - Date.parse(time)) / 1000]));
  const names = answer?.track?.sensors ?? tracks.sensorNames(track);
  const texts = names.map((name) => {
    const age = heard.get(name);
    return age === undefined ? name : `${name} ${number(Math.max(0, age), 1, "s")}`;
  });
  return [{ name: "Seen by", value: texts.join(" · ") || NONE, wide: true }];
}

/** @param {Track} track @param {Answer | null} answer @returns {Fact[]} */
function what(track, answer) {
  const classes = Object.entries(answer?.track?.class ?? {}).filter(([, p]) => p >= LEAST).sort((a, b) => b[1] - a[1]);
  return [
    { name: "Class", value: classes.map(([name, p]) => `${className(name)} ${number(100 * p, 0)} %`).join(" · ") || `${className(track.classification)} ${track.classProbability} %`, wide: true },
    { name: "Affiliation", value: AFFILIATION[track.affiliation] ?? "?" },
    { name: "Identity", value: track.identity || "none given" },
    ...doubt(answer),
    { name: "Revision", value: String(track.revision) },
    ...journal(track, answer),
  ];
}

/** Its identity was said in another place too, or jumped. @param {Answer | null} answer @returns {Fact[]} */
function doubt(answer) {
  const since = answer?.doubted_since;
  return since ? [{ name: "Identity doubted", value: `since ${clockTime(Date.parse(since))}`, wide: true, trouble: true }] : [];
}

/** Where in this node's journal its newest head was made; a foreign one was made elsewhere. @param {Track} track @param {Answer | null} answer @returns {Fact[]} */
function journal(track, answer) {
  if (track.foreign) return [];
  const offset = answer?.track?.known_offset ?? -1;
  return [{ name: "Journal", value: offset >= 0 ? `offset ${number(offset, 0)}` : NONE }];
}
