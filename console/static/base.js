// @ts-check
// The base map: land, borders, rivers and lakes, drawn by MapLibre on a canvas of its own beneath
// ours, out of files of this server. It is drawn again only when the camera moves.

import { latOf, lonOf, mercatorX, mercatorY } from "./geo.js";
import { palette } from "./palette.js";

const VENDOR = "/static/vendor";
/** Deepest zoom for which MapLibre cuts tiles; 1:10m data have no detail beyond. */
const DEEPEST = 9;

/** @typedef {typeof import("maplibre-gl")} Library */
/** @typedef {import("maplibre-gl").Map} LibreMap */

export class BaseMap {
  /** @param {HTMLElement} parent @param {import("./camera.js").Camera} camera */
  constructor(parent, camera) {
    this.parent = parent;
    this.camera = camera;
    /** @type {LibreMap | null} */
    this.map = null;
    /** Why there is none, in words; empty: there is one, or nobody has asked yet. */
    this.fault = "";
    this.started = false;
    parent.dataset.state = "none";
  }

  /** Draw it from now on; a failure leaves the plain chart. */
  async start() {
    if (this.started) return;
    this.started = true;
    try {
      await style(`${VENDOR}/maplibre-gl.css`);
      this.map = this.make(await library());
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {Library} libre @returns {LibreMap} */
  make(libre) {
    const { camera } = this;
    const map = new libre.Map({
      container: this.parent,
      style: chartStyle(),
      center: [lonOf(camera.x), latOf(camera.y)],
      zoom: camera.zoom,
      maxPitch: 0,
      interactive: false,
      attributionControl: false,
      fadeDuration: 0,
      canvasContextAttributes: { antialias: false },
    });
    map.on("error", (event) => this.fail(event.error?.message ?? "an error of MapLibre"));
    map.on("webglcontextlost", () => this.fail("the graphics context is lost; reload the page"));
    map.on("movestart", () => this.tell("drawing"));
    map.on("idle", () => this.tell("drawn"));
    camera.obey((x, y, zoom) => {
      map.jumpTo({ center: [lonOf(x), latOf(y)], zoom });
      const { lng, lat } = map.getCenter();
      return [((mercatorX(lng) % 1) + 1) % 1, mercatorY(lat), map.getZoom()];
    });
    return map;
  }

  /** @param {string} state of what is in view; a failure is final */
  tell(state) {
    if (!this.fault) this.parent.dataset.state = state;
  }

  /** @param {string} why */
  fail(why) {
    this.fault = `no base map: ${why}`;
    this.parent.dataset.state = "failed";
  }

  /** Take on the colours of the hour. */
  repaint() {
    if (!this.map) return;
    for (const { id, paint } of layers()) {
      for (const [name, value] of Object.entries(paint ?? {})) this.map.setPaintProperty(id, /** @type {any} */ (name), value);
    }
  }
}

/** MapLibre itself; its place is put together so that type checks need no vendor folder. @returns {Promise<Library>} */
const library = () => import(`${VENDOR}/maplibre-gl.mjs`);

/** Load a style sheet. @param {string} href @returns {Promise<void>} */
function style(href) {
  return new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    link.onload = () => resolve();
    link.onerror = () => reject(new Error(`${href} cannot be loaded`));
    document.head.prepend(link);
  });
}

/** The layers from the ground up, in the colours of the hour. @returns {import("maplibre-gl").LayerSpecification[]} */
function layers() {
  return [
    { id: "water", type: "background", paint: { "background-color": palette.chart } },
    { id: "land", type: "fill", source: "land", paint: { "fill-color": palette.land, "fill-antialias": false } },
    { id: "lakes", type: "fill", source: "lakes", paint: { "fill-color": palette.chart, "fill-antialias": false } },
    { id: "rivers", type: "line", source: "rivers", minzoom: 4, paint: { "line-color": palette.river, "line-width": ["interpolate", ["linear"], ["zoom"], 4, 0.5, 10, 1.6] } },
    { id: "coast", type: "line", source: "land", paint: { "line-color": palette.shore, "line-width": 1 } },
    { id: "lake-shores", type: "line", source: "lakes", paint: { "line-color": palette.shore, "line-width": 1 } },
    { id: "borders", type: "line", source: "borders", paint: { "line-color": palette.border, "line-width": 1.4, "line-dasharray": [5, 3] } },
  ];
}

/** @returns {import("maplibre-gl").StyleSpecification} */
function chartStyle() {
  /** @type {Record<string, import("maplibre-gl").SourceSpecification>} */
  const sources = {};
  for (const name of ["land", "lakes", "rivers", "borders"]) {
    sources[name] = { type: "geojson", data: new URL(`${VENDOR}/${name}.json`, location.href).href, maxzoom: DEEPEST, tolerance: 0.3 };
  }
  return { version: 8, sources, layers: layers() };
}
