// @ts-check
// What part of the world the map shows: centre and zoom, as MapLibre counts them (a world of 512
// pixels at zoom 0). Where there is a base map, MapLibre's camera has the last word: every change
// goes through it, and what it made of the change is what the tracks are drawn with.

import { MAX_LAT, latOf, lonOf, mercatorX, mercatorY, unitsPerMetre } from "./geo.js";

const TILE = 512;
const MIN_ZOOM = 1;
const MAX_ZOOM = 20;
/** Part of the view kept free around what is fitted. */
const MARGIN = 0.12;
/** Closest that `fit` goes by itself, so that one track does not fill the screen. */
const FIT_ZOOM = 14.5;

/**
 * Takes a wish and gives back what became of it: centre in world units, and zoom.
 * @typedef {(x: number, y: number, zoom: number) => [number, number, number]} Master
 */

export class Camera {
  constructor() {
    /** @type {Master | null} */
    this.master = null;
    /** Rises with every change, so that what stands still need not be drawn again. */
    this.version = 0;
    this.x = 0.5;
    this.y = 0.5;
    this.zoom = 3;
    this.width = 1;
    this.height = 1;
  }

  /** Pixels per world unit. */
  get scale() {
    return TILE * 2 ** this.zoom;
  }

  /** Pixels per metre at the centre. */
  get pixelsPerMetre() {
    return this.scale * unitsPerMetre(latOf(this.y))[0];
  }

  /** Pixels of a place; the shorter way round the world. @param {number} x @param {number} y @returns {[number, number]} */
  project(x, y) {
    let dx = x - this.x;
    if (dx > 0.5) dx -= 1;
    else if (dx < -0.5) dx += 1;
    return [this.width / 2 + dx * this.scale, this.height / 2 + (y - this.y) * this.scale];
  }

  /** Place under a pixel, world units. @param {number} px @param {number} py @returns {[number, number]} */
  unproject(px, py) {
    return [this.x + (px - this.width / 2) / this.scale, this.y + (py - this.height / 2) / this.scale];
  }

  /** Degrees under a pixel: latitude, longitude. @param {number} px @param {number} py @returns {[number, number]} */
  degrees(px, py) {
    const [x, y] = this.unproject(px, py);
    return [latOf(y), ((((lonOf(x) + 180) % 360) + 360) % 360) - 180];
  }

  /** @param {number} dx pixels @param {number} dy pixels */
  pan(dx, dy) {
    this.centre(this.x + dx / this.scale, this.y + dy / this.scale);
  }

  /** @param {number} x @param {number} y world units @param {number} [zoom] */
  centre(x, y, zoom = this.zoom) {
    this.x = ((x % 1) + 1) % 1;
    this.y = Math.max(mercatorY(MAX_LAT), Math.min(mercatorY(-MAX_LAT), y));
    this.zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, zoom));
    if (this.master) [this.x, this.y, this.zoom] = this.master(this.x, this.y, this.zoom);
    this.version += 1;
  }

  /** @param {number} width @param {number} height pixels */
  resize(width, height) {
    [this.width, this.height] = [Math.max(1, width), Math.max(1, height)];
    this.version += 1;
  }

  /** Let another camera have the last word from now on. @param {Master} master */
  obey(master) {
    this.master = master;
    this.centre(this.x, this.y);
  }

  /** Zoom by so many steps, keeping what is under a pixel there. @param {number} steps @param {number} [px] @param {number} [py] */
  zoomBy(steps, px = this.width / 2, py = this.height / 2) {
    const zoom = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, this.zoom + steps));
    const grown = 1 - 2 ** (this.zoom - zoom); // how far the centre moves towards the pixel's place
    const [x, y] = this.unproject(px, py);
    this.centre(this.x + (x - this.x) * grown, this.y + (y - this.y) * grown, zoom);
  }

  /**
   * Show all of these places; does nothing without any.
   * @param {Array<[number, number]>} places world units
   */
  fit(places) {
    if (!places.length) return;
    const x0 = places[0][0]; // measured from one of them, so that the date line does not tear them apart
    const xs = places.map(([x]) => x0 + ((((x - x0 + 0.5) % 1) + 1) % 1) - 0.5);
    const ys = places.map(([, y]) => y);
    const [west, east] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const scale = Math.min(
      (this.width * (1 - 2 * MARGIN)) / Math.max(east - west, 1e-12),
      (this.height * (1 - 2 * MARGIN)) / Math.max(bottom - top, 1e-12),
    );
    this.centre((west + east) / 2, (top + bottom) / 2, Math.min(FIT_ZOOM, Math.log2(scale / TILE)));
  }

  /** Show a circle on the ground. @param {number} lat degrees @param {number} lon degrees @param {number} radius m */
  fitCircle(lat, lon, radius) {
    const [x, y] = [mercatorX(lon), mercatorY(lat)];
    const [ux, uy] = unitsPerMetre(lat);
    this.fit([[x - radius * ux, y - radius * uy], [x + radius * ux, y + radius * uy]]);
  }
}
