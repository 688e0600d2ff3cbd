// @ts-check
// Says in the middle of the screen, in words, that the picture is not of now.

import { clockTime, duration } from "./format.js";

/** Age from which a picture is stale where the node names none, s. */
export const STALE_S = 3;
/** How long a first connection may take before it is a loss, ms. */
const FIRST_MS = 2000;

/**
 * @typedef {object} Situation
 * @property {import("./feed.js").LinkState} link
 * @property {string} fault why the last connection ended
 * @property {number} openedFor ms since the page was opened
 * @property {number} now server's time, ms
 * @property {number} newestMs newest valid time of any track, 0: none
 * @property {number} coreMs the core's last sign of life, 0: not known
 * @property {number} tracks
 * @property {number} staleS
 */
/** @typedef {{level: "lost" | "stale", title: string, text: string}} Notice */

/**
 * What must be said, or null.
 * @param {Situation} s
 * @returns {Notice | null}
 */
export function judge(s) {
  if (s.link !== "open") {
    if (s.link === "connecting" && s.openedFor < FIRST_MS) return null;
    const seen = Math.max(s.newestMs, s.coreMs);
    const picture = seen > 0 ? `The picture is of ${clockTime(seen)}, ${duration((s.now - seen) / 1000)} ago. ` : "There is no picture yet. ";
    return { level: "lost", title: "No connection to the node", text: `${picture}Trying again${s.fault ? ` (${s.fault})` : ""} …` };
  }
  const silent = (s.now - s.coreMs) / 1000;
  if (s.coreMs > 0 && silent > s.staleS) {
    return { level: "stale", title: `The core has been silent for ${duration(silent)}`, text: `Last sign of life ${clockTime(s.coreMs)}. Tracks are not of now.` };
  }
  const age = (s.now - s.newestMs) / 1000;
  if (s.tracks > 0 && age > s.staleS) {
    return { level: "stale", title: `The picture is stale: ${duration(age)} old`, text: `The newest track state is of ${clockTime(s.newestMs)}.` };
  }
  return null;
}

/** @param {HTMLElement} box @param {Notice | null} notice */
export function showNotice(box, notice) {
  box.hidden = notice === null;
  if (!notice) {
    box.replaceChildren();
    return;
  }
  box.dataset.level = notice.level;
  if (!box.children.length) box.append(document.createElement("strong"), document.createElement("span"));
  const [title, text] = box.children;
  if (title.textContent !== notice.title) title.textContent = notice.title;
  if (text.textContent !== notice.text) text.textContent = notice.text;
}
