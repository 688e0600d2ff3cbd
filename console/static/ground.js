// @ts-check
// The canvas between base map and tracks: what stands still while the camera does. It is drawn
// again only when the camera, the colours or the site's own things change.

import { drawGraticule, drawLines, drawScaleBar, drawSensors, masts, namesBox } from "./layers.js";
import { Places } from "./places.js";

/** @typedef {import("./layers.js").SensorPlace} SensorPlace */
/** @typedef {import("./layers.js").SiteLine} SiteLine */

export class Ground {
  /** @param {HTMLCanvasElement} canvas @param {import("./camera.js").Camera} camera */
  constructor(canvas, camera) {
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error("this browser has no 2D canvas");
    this.canvas = canvas;
    this.pen = pen;
    this.camera = camera;
    this.places = new Places();
    this.places.onChange = () => this.spoil();
    /** @type {SensorPlace[]} */
    this.sensors = [];
    /** @type {SiteLine[]} */
    this.lines = [];
    /** What names cover, which numbers of tracks had better leave free: left, top, right, bottom. @type {number[][]} */
    this.covered = [];
    /** Version of the camera that it was drawn for. */
    this.drawn = -1;
  }

  /** Draw anew at the next frame. */
  spoil() {
    this.drawn = -1;
  }

  /** @param {SensorPlace[]} sensors @param {SiteLine[]} lines */
  set(sensors, lines) {
    if (JSON.stringify([sensors, lines]) === JSON.stringify([this.sensors, this.lines])) return;
    [this.sensors, this.lines] = [sensors, lines];
    this.spoil();
  }

  /** @param {number} ratio canvas pixels for each of the page */
  resize(ratio) {
    this.canvas.width = Math.round(this.camera.width * ratio);
    this.canvas.height = Math.round(this.camera.height * ratio);
    this.spoil();
  }

  draw() {
    const { pen, camera } = this;
    if (this.drawn === camera.version) return;
    this.drawn = camera.version;
    const ratio = this.canvas.width / camera.width;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, camera.width, camera.height);
    drawGraticule(pen, camera);
    drawLines(pen, camera, this.lines);
    const found = masts(camera, this.sensors);
    this.covered = found.map((mast) => namesBox(pen, mast));
    this.places.draw(pen, camera, this.covered);
    drawSensors(pen, found);
    drawScaleBar(pen, camera);
  }
}
