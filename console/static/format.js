// @ts-check
// Numbers as an officer reads them: always the same digits, always a unit, never a made-up zero.

/** Stands where a number is not known. */
export const NONE = "–";

/** @param {unknown} value @param {number} digits @param {string} [unit] */
export function number(value, digits, unit = "") {
  if (typeof value !== "number" || !Number.isFinite(value)) return NONE;
  const text = value.toFixed(digits).replace("-", "−");
  const grouped = Math.abs(value) < 10_000 ? text : text.replace(/\B(?=(\d{3})+(?!\d))/g, " ");
  return unit ? `${grouped} ${unit}` : grouped;
}

/** @param {number} degrees */
export const bearing = (degrees) => (Number.isFinite(degrees) ? `${String(Math.round(degrees) % 360).padStart(3, "0")}°` : NONE);

/** @param {number} ms since 1970 UTC */
export const clockTime = (ms) => (ms > 0 ? `${new Date(ms).toISOString().slice(11, 19)} UTC` : NONE);

/** Seconds in words that fit a line. @param {number} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  if (seconds < 120) return `${Math.floor(Math.max(0, seconds))} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return `${number(seconds / 3600, 1)} h`;
}

/** Degrees and decimal minutes, as charts have them. @param {number} value degrees @param {string} positive @param {string} negative */
function angle(value, positive, negative) {
  if (!Number.isFinite(value)) return NONE;
  const thousandths = Math.round(Math.abs(value) * 60_000);
  const degrees = Math.floor(thousandths / 60_000);
  const minutes = ((thousandths % 60_000) / 1000).toFixed(3).padStart(6, "0");
  return `${String(degrees).padStart(positive === "N" ? 2 : 3, "0")}°${minutes}′${value < 0 ? negative : positive}`;
}

/** @param {number} lat @param {number} lon degrees */
export const position = (lat, lon) => `${angle(lat, "N", "S")} ${angle(lon, "E", "W")}`;

/** A metre length with a fitting unit. @param {number} metres */
export const distance = (metres) => (metres < 1000 ? number(metres, 0, "m") : number(metres / 1000, metres < 10_000 && metres % 1000 ? 1 : 0, "km"));
