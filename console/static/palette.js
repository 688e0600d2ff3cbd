// @ts-check
// Colours of the canvas and of the base map, read from style.css so that each stands in one place.

const style = getComputedStyle(document.documentElement);
/** @param {string} name */
const read = (name) => style.getPropertyValue(`--${name}`).trim();

const colours = () => ({
  chart: read("chart"),
  land: read("land"),
  shore: read("shore"),
  river: read("river"),
  border: read("border"),
  line: read("site-line"),
  place: read("place"),
  halo: read("halo"),
  grid: read("grid"),
  gridText: read("grid-text"),
  text: read("text"),
  soft: read("soft"),
  focus: read("focus"),
  sensor: read("sensor"),
  warn: read("warn"),
  stale: read("stale"),
  foreign: read("foreign"),
  /** By `Affiliation`. */
  affiliation: ["unknown", "own", "friend", "neutral", "suspect"].map(read),
});

export const palette = colours();

/** Read the colours again: by day they are others than by night. */
export const readPalette = () => Object.assign(palette, colours());

export const FONT = '12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
export const SMALL = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
export const BOLD = `600 ${FONT}`;
