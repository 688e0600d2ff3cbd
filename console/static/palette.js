// @ts-check
// Colours of the canvas, read from style.css so that each stands in one place.

const style = getComputedStyle(document.documentElement);
/** @param {string} name */
const read = (name) => style.getPropertyValue(`--${name}`).trim();

export const palette = {
  chart: read("chart"),
  grid: read("grid"),
  gridText: read("grid-text"),
  text: read("text"),
  soft: read("soft"),
  focus: read("focus"),
  sensor: read("sensor"),
  stale: read("stale"),
  /** By `Affiliation`. */
  affiliation: ["unknown", "own", "friend", "neutral", "suspect"].map(read),
};

export const FONT = '12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
export const BOLD = `600 ${FONT}`;
