// @ts-check
// Names on the chart: towns out of places.json, countries, and what the site names itself. They are
// drawn on our own canvas, so no glyph server is needed; a name that would cover another is left out.

import { mercatorX, mercatorY } from "./geo.js";
import { BOLD, FONT, SMALL, palette } from "./palette.js";

/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {import("./camera.js").Camera} Camera */
/** @typedef {{name: string, x: number, y: number, from: number, until: number, kind: "country" | "town" | "site"}} Place */

/** Zoom from which a town of each rank is named. */
const TOWN_ZOOM = [0, 3.2, 5, 6.8, 8.5];
/** Zoom at which names of countries go: then one stands in the country. */
const COUNTRY_UNTIL = 7.5;
/** A country is named when it is about so many pixels wide. */
const COUNTRY_PIXELS = 70;
const GAP = 4;

export class Places {
  constructor() {
    /** @type {Place[]} most important first */
    this.known = [];
    /** @type {Place[]} */
    this.site = [];
    /** @type {() => void} */
    this.onChange = () => {};
  }

  /** Towns, which are part of the page. */
  async loadTowns() {
    /** @type {Array<[string, number, number, number]>} name, lat, lon, rank from 1 */
    const rows = await json("/static/places.json");
    this.add(rows.map(([name, lat, lon, rank]) => place(name, lat, lon, TOWN_ZOOM[rank] ?? 9, Infinity, "town")));
  }

  /** Countries, which come with the base map. */
  async loadCountries() {
    /** @type {Array<{name: string, lat: number, lon: number, area: number}>} square degrees */
    const rows = await json("/static/vendor/countries.json");
    this.add(rows.map(({ name, lat, lon, area }) => {
      const from = Math.log2((COUNTRY_PIXELS * 360) / (512 * Math.sqrt(Math.max(area, 1e-3))));
      return place(name, lat, lon, Math.max(1.5, from), COUNTRY_UNTIL, "country");
    }));
  }

  /** The site's own names. @param {unknown} rows of the status */
  setSite(rows) {
    const list = Array.isArray(rows) ? rows.filter((row) => Number.isFinite(row?.lat) && Number.isFinite(row?.lon)) : [];
    if (list.length === this.site.length && list.every((row, i) => row.name === this.site[i].name)) return;
    this.site = list.map(({ name, lat, lon }) => place(String(name), lat, lon, 7, Infinity, "site"));
    this.onChange();
  }

  /** @param {Place[]} more */
  add(more) {
    this.known = [...this.known, ...more].sort((a, b) => a.from - b.from);
    this.onChange();
  }

  /** @param {Pen} pen @param {Camera} camera @param {number[][]} taken boxes that must stay free, and get the names: left, top, right, bottom */
  draw(pen, camera, taken) {
    for (const one of [...this.site, ...this.known]) {
      if (camera.zoom < one.from || camera.zoom > one.until) continue;
      const [x, y] = camera.project(one.x, one.y);
      if (x < -40 || y < -20 || x > camera.width + 40 || y > camera.height + 20) continue;
      drawName(pen, one, x, y, taken);
    }
  }
}

/** @param {Pen} pen @param {Place} one @param {number} x @param {number} y @param {number[][]} taken */
function drawName(pen, one, x, y, taken) {
  const country = one.kind === "country";
  const name = country ? one.name.toUpperCase() : one.name;
  pen.font = country ? SMALL : one.kind === "site" ? BOLD : FONT;
  const width = pen.measureText(name).width;
  const sides = country ? [x - width / 2] : [x + 6, x - 6 - width];
  const left = sides.find((side) => taken.every((other) => side + width + GAP <= other[0] || other[2] <= side - GAP || y + 8 <= other[1] || other[3] <= y - 8));
  if (left === undefined) return;
  taken.push([left - GAP, y - 8, left + width + GAP, y + 8]);
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.lineWidth = 3;
  pen.strokeStyle = palette.halo;
  pen.strokeText(name, left, y);
  pen.fillStyle = palette.place;
  pen.fillText(name, left, y);
  if (country) return;
  pen.beginPath();
  pen.rect(x - 2, y - 2, 4, 4);
  pen.fill();
}

/** @param {string} name @param {number} lat @param {number} lon @param {number} from @param {number} until @param {Place["kind"]} kind @returns {Place} */
const place = (name, lat, lon, from, until, kind) => ({ name, x: mercatorX(lon), y: mercatorY(lat), from, until, kind });

/** @param {string} path */
async function json(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
  return answer.json();
}
