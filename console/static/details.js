// @ts-check
// All that is known of the selected track.

import { showFacts } from "./facts.js";
import { NONE, bearing, number, position } from "./format.js";
import { ellipse } from "./geo.js";
import { className } from "./symbols.js";
import { AFFILIATION, REASON, STATUS } from "./tracks.js";

/** Knots per metre per second (1 kn = 1852 m/h, ISO 80000-3). */
const KNOTS = 3600 / 1852;

/**
 * @param {HTMLElement} parent @param {import("./tracks.js").Tracks} tracks
 * @param {import("./tracks.js").Track | undefined} track @param {number} now ms
 */
export function showDetails(parent, tracks, track, now) {
  let title = /** @type {HTMLElement | null} */ (parent.querySelector("p"));
  if (!title) {
    title = document.createElement("p");
    parent.append(title);
  }
  if (!track) {
    title.className = "hint";
    title.textContent = "None: click a track on the map or in the table.";
    showFacts(parent, []);
    return;
  }
  title.className = "spoken";
  const spoken = `${track.number}  ${className(track.classification)} ${track.classProbability} %`;
  if (title.textContent !== spoken) title.textContent = spoken;
  const stale = track.isStale(now);
  const [ee, en, nn] = track.spread(now);
  const { major, minor } = ellipse(ee, en, nn);
  const left = (track.staleAt - now) / 1000;
  showFacts(parent, [
    { name: "Position", value: track.placed ? position(track.lat, track.lon) : "not known", wide: true },
    { name: "Speed", value: Number.isFinite(track.speed) ? `${number(track.speed, 1, "m/s")} · ${number(track.speed * KNOTS, 1, "kn")}` : NONE },
    { name: "Course", value: bearing(track.course) },
    { name: "Height (HAE)", value: number(track.height, 0, "m") },
    { name: "Climb", value: number(track.up, 1, "m/s") },
    { name: "2σ ellipse", value: Number.isFinite(major) ? `± ${number(2 * major, 0)}, ± ${number(2 * minor, 0)} m` : NONE },
    { name: "Existence", value: number(track.existence * 100, 1, "%") },
    { name: "Age", value: number(track.age(now), 1, "s"), trouble: stale },
    { name: stale ? "Stale for" : "Current for", value: number(Math.abs(left), 0, "s"), trouble: stale },
    { name: "Status", value: `${STATUS[track.status] ?? "?"} (${REASON[track.reason] ?? "?"})` },
    { name: "Affiliation", value: AFFILIATION[track.affiliation] ?? "?" },
    { name: "Sensors", value: tracks.sensorNames(track).join(", ") || NONE, wide: true },
    { name: "Identity", value: track.identity || "none given" },
    { name: "Revision", value: String(track.revision) },
  ]);
}
