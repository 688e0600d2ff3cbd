// @ts-check
// Night colours and day colours; the choice stays with this browser.

import { readPalette } from "./palette.js";

/** @typedef {"night" | "day"} Light */
const KEY = "vedette.light";

export class Theme {
  constructor() {
    /** @type {Array<(light: Light) => void>} */
    this.listeners = [];
    /** @type {Light} */
    this.light = stored() === "day" ? "day" : "night";
    this.apply();
  }

  /** @param {(light: Light) => void} listener */
  listen(listener) {
    this.listeners.push(listener);
  }

  toggle() {
    this.light = this.light === "night" ? "day" : "night";
    try {
      localStorage.setItem(KEY, this.light);
    } catch {
      // a browser that keeps nothing shows the night colours again next time
    }
    this.apply();
    for (const listener of this.listeners) listener(this.light);
  }

  apply() {
    document.documentElement.dataset.light = this.light;
    readPalette();
  }
}

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
