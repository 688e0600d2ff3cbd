// @ts-check
// Positions on the map: Web Mercator (EPSG:3857) scaled to 0..1, x east, y south, as map tiles
// and MapLibre have it. Distances on the ground are WGS-84.

/** Semi-major axis, m, and first eccentricity squared; NIMA TR8350.2, WGS-84. */
const A = 6378137;
const E2 = 6.69437999014e-3;
const RAD = Math.PI / 180;
/** Latitude at which the square map ends, degrees. */
export const MAX_LAT = 85.0511287798;

/** @param {number} lon degrees */
export const mercatorX = (lon) => (lon + 180) / 360;

/** @param {number} lat degrees */
export function mercatorY(lat) {
  const clipped = Math.max(-MAX_LAT, Math.min(MAX_LAT, lat));
  return 0.5 - Math.log(Math.tan(Math.PI / 4 + (clipped * RAD) / 2)) / (2 * Math.PI);
}

/** @param {number} x */
export const lonOf = (x) => x * 360 - 180;

/** @param {number} y */
export const latOf = (y) => (2 * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - Math.PI / 2) / RAD;

/**
 * World units per metre at a latitude, to the east and to the north, from the radii of curvature
 * in the prime vertical and the meridian.
 * @param {number} lat degrees
 * @returns {[number, number]}
 */
export function unitsPerMetre(lat) {
  const sin = Math.sin(lat * RAD);
  const w2 = 1 - E2 * sin * sin;
  const prime = A / Math.sqrt(w2);
  const meridian = (A * (1 - E2)) / (w2 * Math.sqrt(w2));
  const stretch = 2 * Math.PI * Math.max(1e-6, Math.cos(lat * RAD));
  return [1 / (stretch * prime), 1 / (stretch * meridian)];
}

/**
 * Semi-axes and tilt of the ellipse of one standard deviation.
 * @param {number} ee m² @param {number} en m² @param {number} nn m²
 * @returns {{major: number, minor: number, azimuth: number}} m, m, rad of the major axis from
 *   north, clockwise
 */
export function ellipse(ee, en, nn) {
  const mean = (ee + nn) / 2;
  const spread = Math.hypot((ee - nn) / 2, en);
  return {
    major: Math.sqrt(Math.max(0, mean + spread)),
    minor: Math.sqrt(Math.max(0, mean - spread)),
    azimuth: 0.5 * Math.atan2(2 * en, nn - ee),
  };
}
