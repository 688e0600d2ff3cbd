// @ts-check
// The map: owns the canvas, draws it about thirty times a second, finds the track under a point.

import { Camera } from "./camera.js";
import { drawTracks, placeTracks } from "./draw.js";
import { mercatorX, mercatorY } from "./geo.js";
import { Labels } from "./labels.js";
import { drawGraticule, drawScaleBar, drawSensors } from "./layers.js";
import { palette } from "./palette.js";

/** Least time between two drawings, ms. */
const FRAME_MS = 30;
/** How near a click must be, pixels. */
const NEAR = 18;

export class TrackMap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./tracks.js").Tracks} tracks
   * @param {import("./clock.js").ServerClock} clock
   * @param {import("./selection.js").Selection} selection
   */
  constructor(canvas, tracks, clock, selection) {
    this.canvas = canvas;
    this.tracks = tracks;
    this.clock = clock;
    this.selection = selection;
    this.camera = new Camera();
    const pen = canvas.getContext("2d", { alpha: false });
    if (!pen) throw new Error("this browser has no 2D canvas");
    this.pen = pen;
    /** @type {import("./layers.js").Place[]} */
    this.sensors = [];
    /** @type {import("./draw.js").Shown[]} */
    this.shown = [];
    this.labels = new Labels();
    this.drawnAt = 0;
    /** Whether the operator has moved the map: then nothing else may. */
    this.touched = false;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    requestAnimationFrame((time) => this.frame(time));
  }

  /** The time that the map shows, ms. */
  get now() {
    return this.clock.now();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    this.camera.width = Math.max(1, clientWidth);
    this.camera.height = Math.max(1, clientHeight);
    this.draw();
  }

  /** @param {number} time */
  frame(time) {
    if (time - this.drawnAt >= FRAME_MS) {
      this.drawnAt = time;
      this.draw();
    }
    requestAnimationFrame((next) => this.frame(next));
  }

  draw() {
    const { pen, camera, now } = this;
    const ratio = this.canvas.width / camera.width;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = palette.chart;
    pen.fillRect(0, 0, camera.width, camera.height);
    drawGraticule(pen, camera);
    drawSensors(pen, camera, this.sensors);
    this.shown = placeTracks(this.tracks, camera, now);
    drawTracks(pen, camera, this.shown, this.selection.id, now, this.labels);
    drawScaleBar(pen, camera);
  }

  /** Nearest track to a pixel, or null. @param {number} px @param {number} py */
  pick(px, py) {
    let best = null;
    let least = NEAR;
    for (const one of this.shown) {
      const away = Math.hypot(one.x - px, one.y - py);
      if (away < least) [best, least] = [one.track.id, away];
    }
    return best;
  }

  /** Show all tracks and sensors; false: there is nothing to show. */
  fit() {
    const now = this.now;
    /** @type {Array<[number, number]>} */
    const places = [];
    for (const track of this.tracks) if (track.placed) places.push(track.at(now));
    for (const sensor of this.sensors) places.push([mercatorX(sensor.lon), mercatorY(sensor.lat)]);
    this.camera.fit(places);
    return places.length > 0;
  }

  /** Bring the selected track into the middle, if it has a place. */
  centreSelected() {
    const track = this.tracks.get(this.selection.id);
    if (!track?.placed) return;
    this.touched = true;
    this.camera.centre(...track.at(this.now));
  }

  /** Centre the selected track only where it is out of view. */
  reveal() {
    const track = this.tracks.get(this.selection.id);
    if (!track?.placed) return;
    const [x, y] = this.camera.project(...track.at(this.now));
    const margin = 30;
    const inside = x > margin && y > margin && x < this.camera.width - margin && y < this.camera.height - margin;
    if (!inside) this.centreSelected();
  }
}
