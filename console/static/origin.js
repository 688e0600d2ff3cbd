// @ts-check
// Whose tracks are shown: all, the node's own, or those of one partner. Table and map obey it alike,
// and while it hides something the map says so.

import { number } from "./format.js";

/** @typedef {import("./tracks.js").Track} Track */
/** @typedef {import("./tracks.js").Tracks} Tracks */

export const ALL = "all";
export const OWN = "own";

export class OriginFilter {
  /**
   * @param {HTMLElement} parent of the buttons @param {HTMLElement} warning on the map
   * @param {Tracks} tracks
   */
  constructor(parent, warning, tracks) {
    this.parent = parent;
    this.warning = warning;
    this.tracks = tracks;
    /** `ALL`, `OWN`, or `@` and the name of a node. */
    this.value = ALL;
    /** @type {Array<() => void>} */
    this.listeners = [];
    parent.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest("button");
      if (button?.dataset.origin) this.set(button.dataset.origin);
    });
  }

  /** @param {() => void} listener */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** @param {string} value */
  set(value) {
    this.value = value;
    this.show();
    for (const listener of this.listeners) listener();
  }

  /** The next choice. */
  cycle() {
    const choices = [...this.counts().keys()];
    this.set(choices[(choices.indexOf(this.value) + 1) % choices.length]);
  }

  /** @param {Track} track */
  passes(track) {
    if (this.value === ALL) return true;
    if (this.value === OWN) return !track.foreign;
    return track.foreign && `@${this.tracks.nodeOf(track)}` === this.value;
  }

  /** Those that pass. @param {Iterable<Track>} tracks */
  *of(tracks) {
    for (const track of tracks) if (this.passes(track)) yield track;
  }

  /** Tracks by choice; partners that gave something once stay. */
  counts() {
    const counts = new Map([[ALL, 0], [OWN, 0]]);
    for (const { node } of this.tracks.nodes.slice(1)) counts.set(`@${node}`, 0);
    for (const track of this.tracks) {
      const whose = track.foreign ? `@${this.tracks.nodeOf(track)}` : OWN;
      counts.set(whose, (counts.get(whose) ?? 0) + 1);
      counts.set(ALL, (counts.get(ALL) ?? 0) + 1);
    }
    return counts;
  }

  show() {
    const counts = this.counts();
    while (this.parent.children.length > counts.size) this.parent.lastElementChild?.remove();
    let at = 0;
    for (const [value, count] of counts) {
      const button = /** @type {HTMLButtonElement} */ (this.parent.children[at] ?? this.parent.appendChild(newButton()));
      const text = `${value === ALL ? "All" : value === OWN ? "Own" : value.slice(1)} ${number(count, 0)}`;
      if (button.textContent !== text) button.textContent = text;
      button.dataset.origin = value;
      button.dataset.kind = value.startsWith("@") ? "foreign" : value;
      button.setAttribute("aria-pressed", String(value === this.value));
      at += 1;
    }
    const hidden = (counts.get(ALL) ?? 0) - (counts.get(this.value) ?? 0);
    this.warning.hidden = this.value === ALL;
    const only = this.value === OWN ? "own tracks" : `tracks of ${this.value.slice(1)}`;
    const said = `Only ${only} are shown; ${number(hidden, 0)} hidden (O: change)`;
    if (this.warning.textContent !== said) this.warning.textContent = said;
  }
}

function newButton() {
  const button = document.createElement("button");
  button.type = "button";
  return button;
}
