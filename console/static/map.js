// @ts-check
// The map: base map, ground and tracks, one canvas above the other. The tracks are drawn about thirty
// times a second; it finds the track under a point.

import { BaseMap } from "./base.js";
import { Camera } from "./camera.js";
import { drawTracks, placeTracks } from "./draw.js";
import { mercatorX, mercatorY } from "./geo.js";
import { Ground } from "./ground.js";
import { Labels } from "./labels.js";

/** Least time between two drawings, ms. */
const FRAME_MS = 30;
/** How near a click must be, pixels. */
const NEAR = 18;

export class TrackMap {
  /**
   * @param {{base: HTMLElement, ground: HTMLCanvasElement, canvas: HTMLCanvasElement}} parts from below
   * @param {import("./tracks.js").Tracks} tracks
   * @param {import("./clock.js").ServerClock} clock
   * @param {import("./selection.js").Selection} selection
   * @param {import("./origin.js").OriginFilter} filter
   */
  constructor({ base, ground, canvas }, tracks, clock, selection, filter) {
    this.canvas = canvas;
    this.tracks = tracks;
    this.clock = clock;
    this.selection = selection;
    this.filter = filter;
    this.camera = new Camera();
    this.base = new BaseMap(base, this.camera);
    this.ground = new Ground(ground, this.camera);
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error("this browser has no 2D canvas");
    this.pen = pen;
    /** @type {import("./draw.js").Shown[]} */
    this.shown = [];
    this.labels = new Labels();
    this.drawnAt = 0;
    /** Version of the camera that the tracks were drawn for. */
    this.drawnFor = -1;
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
    this.camera.resize(clientWidth, clientHeight);
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    this.ground.resize(ratio);
    this.draw();
  }

  /** @param {number} time */
  frame(time) {
    // a moved camera is drawn at once: MapLibre does so in the same frame, and both must agree
    if (time - this.drawnAt >= FRAME_MS || this.camera.version !== this.drawnFor) {
      this.drawnAt = time;
      this.draw();
    }
    requestAnimationFrame((next) => this.frame(next));
  }

  draw() {
    const { pen, camera, now } = this;
    const ratio = this.canvas.width / camera.width;
    this.ground.draw();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, camera.width, camera.height);
    this.shown = placeTracks(this.filter.of(this.tracks), camera, now);
    drawTracks(pen, camera, this.shown, this.selection.id, now, this.labels, (track) => this.tracks.nodeOf(track), this.ground.covered);
    this.drawnFor = camera.version;
  }

  /** Take on the colours of the hour. */
  repaint() {
    this.base.repaint();
    this.ground.spoil();
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
    for (const track of this.filter.of(this.tracks)) if (track.placed) places.push(track.at(now));
    for (const sensor of this.ground.sensors) places.push([mercatorX(sensor.lon), mercatorY(sensor.lat)]);
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
