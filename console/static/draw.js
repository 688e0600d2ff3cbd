// @ts-check
// Tracks on the canvas: trail, uncertainty, leader, symbol, number, in this order.

import { ellipse } from "./geo.js";
import { Labels, labelText } from "./labels.js";
import { BOLD, FONT, palette } from "./palette.js";
import { symbolPath } from "./symbols.js";

/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {import("./camera.js").Camera} Camera */
/** @typedef {import("./tracks.js").Track} Track */

const COASTING = 2;
/** Seconds that a heading leader reaches ahead. */
const LEADER_S = 60;
/** Slower is drawn without a leader: its course says nothing, m/s. */
const LEADER_MPS = 0.3;
/** Standard deviations of the ellipse; it holds 86 % in two dimensions. */
const SIGMAS = 2;
const SIZE = 6.5;
/** More tracks in view than this, and only the selected one keeps its ellipse and its trail. */
const CROWD = 1500;
/** More than this, and only the selected one keeps its number. */
const LABELLED = 400;
const SOLID = /** @type {number[]} */ ([]);
export const DASH = [4, 3];
const DOTS = [1.5, 3];
/** Radius of the ring about a foreign track's symbol. */
const RING = SIZE + 4.5;

/**
 * @typedef {object} Shown
 * @property {Track} track
 * @property {number} x pixels
 * @property {number} y pixels
 * @property {boolean} stale
 * @property {string} colour of its symbol: the affiliation
 * @property {string} ink of its trail, ellipse and leader: that of foreign tracks tells them apart
 */

/**
 * Tracks in view with their places on the screen.
 * @param {Iterable<Track>} tracks @param {Camera} camera @param {number} now ms
 * @returns {Shown[]}
 */
export function placeTracks(tracks, camera, now) {
  /** @type {Shown[]} */
  const shown = [];
  const margin = 60;
  for (const track of tracks) {
    if (!track.placed) continue;
    const [x, y] = camera.project(...track.at(now));
    if (x < -margin || y < -margin || x > camera.width + margin || y > camera.height + margin) continue;
    const stale = track.isStale(now);
    const colour = stale ? palette.stale : palette.affiliation[track.affiliation] ?? palette.text;
    shown.push({ track, x, y, stale, colour, ink: track.foreign && !stale ? palette.foreign : colour });
  }
  return shown;
}

/**
 * @param {Pen} pen @param {Camera} camera @param {Shown[]} shown @param {string | null} selected
 * @param {number} now ms @param {Labels} labels @param {import("./labels.js").NodeName} nodeOf
 * @param {number[][]} covered by names below: left, top, right, bottom
 */
export function drawTracks(pen, camera, shown, selected, now, labels, nodeOf, covered) {
  const crowded = shown.length > CROWD;
  pen.lineJoin = "round";
  if (!crowded) for (const one of shown) if (one.track.id !== selected) drawTrail(pen, camera, one, now, 0.45);
  if (!crowded) for (const one of shown) if (one.track.id !== selected) drawEllipse(pen, camera, one, now, 0.45);
  for (const one of shown) drawLeader(pen, camera, one);
  for (const one of shown) drawSymbol(pen, one);
  const chosen = shown.find((one) => one.track.id === selected);
  if (shown.length <= LABELLED) {
    const below = covered.map(([w, n, e, s]) => [(w + e) / 2, (n + s) / 2, (e - w) / 2, (s - n) / 2]);
    labels.arrange(pen, shown, [...below, ...shown.map((one) => leaderBox(camera, one))], nodeOf);
    for (const one of shown) if (one !== chosen) drawNumber(pen, one, labels, false, nodeOf);
  }
  if (!chosen) return;
  drawTrail(pen, camera, chosen, now, 0.9);
  drawEllipse(pen, camera, chosen, now, 1);
  drawLeader(pen, camera, chosen);
  drawSymbol(pen, chosen);
  drawRing(pen, chosen);
  drawNumber(pen, chosen, labels, true, nodeOf);
}

/** @param {Pen} pen @param {Camera} camera @param {Shown} one @param {number} now @param {number} alpha */
function drawTrail(pen, camera, one, now, alpha) {
  pen.globalAlpha = alpha;
  pen.strokeStyle = one.ink;
  pen.lineWidth = 1.25;
  pen.setLineDash(one.track.foreign ? DOTS : SOLID);
  pen.beginPath();
  let first = true;
  one.track.trail.each(now, (wx, wy) => {
    const [x, y] = camera.project(wx, wy);
    if (first) pen.moveTo(x, y);
    else pen.lineTo(x, y);
    first = false;
  });
  if (one.track.ahead(now) >= 0) pen.lineTo(one.x, one.y); // the way since the newest head
  pen.stroke();
  pen.setLineDash(SOLID);
  pen.globalAlpha = 1;
}

/** @param {Pen} pen @param {Camera} camera @param {Shown} one @param {number} now @param {number} alpha */
function drawEllipse(pen, camera, one, now, alpha) {
  const [ee, en, nn] = one.track.spread(now);
  if (!Number.isFinite(ee + en + nn)) return;
  const { major, minor, azimuth } = ellipse(ee, en, nn);
  const pixels = SIGMAS * camera.scale * one.track.scale[0];
  if (major * pixels < SIZE * 0.8) return; // hidden by the symbol
  pen.globalAlpha = alpha;
  pen.strokeStyle = one.ink;
  pen.lineWidth = alpha === 1 ? 1.5 : 1;
  pen.setLineDash(one.track.status === COASTING ? DASH : SOLID);
  pen.beginPath();
  pen.ellipse(one.x, one.y, major * pixels, minor * pixels, azimuth - Math.PI / 2, 0, 2 * Math.PI);
  pen.stroke();
  pen.globalAlpha = alpha * 0.12;
  pen.fillStyle = one.ink;
  pen.fill();
  pen.globalAlpha = 1;
  pen.setLineDash(SOLID);
}

/** @param {Pen} pen @param {Camera} camera @param {Shown} one */
function drawLeader(pen, camera, one) {
  const { track, x, y } = one;
  if (one.stale || !(track.speed >= LEADER_MPS)) return;
  pen.strokeStyle = one.ink;
  pen.lineWidth = 1.5;
  pen.setLineDash(track.status === COASTING ? DASH : SOLID);
  pen.beginPath();
  pen.moveTo(x, y);
  const [dx, dy] = leader(camera, track);
  pen.lineTo(x + dx, y + dy);
  pen.stroke();
  pen.setLineDash(SOLID);
}

/** Way of the next minute, pixels. @param {Camera} camera @param {Track} track @returns {[number, number]} */
function leader(camera, track) {
  const length = camera.scale * LEADER_S;
  return [track.east * track.scale[0] * length, -track.north * track.scale[1] * length];
}

/** The first part of a leader, which a number should not cover. @param {Camera} camera @param {Shown} one */
function leaderBox(camera, one) {
  const [dx, dy] = leader(camera, one.track);
  const length = Math.hypot(dx, dy);
  if (one.stale || !(length > 0)) return [one.x, one.y, 0, 0];
  const part = Math.min(1, 40 / length) / 2;
  return [one.x + dx * part, one.y + dy * part, Math.abs(dx * part) + 1, Math.abs(dy * part) + 1];
}

/** @param {Pen} pen @param {Shown} one */
function drawSymbol(pen, one) {
  if (one.track.foreign) drawForeignRing(pen, one.x, one.y, one.stale ? palette.stale : palette.foreign);
  drawClass(pen, one.track.classification, one.x, one.y, one.colour, one.track.status === COASTING || one.stale);
  if (!one.stale) return;
  pen.beginPath(); // crossed out: where it was, not where it is
  pen.moveTo(one.x - SIZE, one.y + SIZE);
  pen.lineTo(one.x + SIZE, one.y - SIZE);
  pen.stroke();
}

/**
 * @param {Pen} pen @param {string} label @param {number} x @param {number} y @param {string} colour
 * @param {boolean} dashed
 */
export function drawClass(pen, label, x, y, colour, dashed) {
  symbolPath(pen, label, x, y, SIZE);
  pen.fillStyle = palette.halo;
  pen.fill();
  pen.strokeStyle = colour;
  pen.lineWidth = 1.8;
  pen.setLineDash(dashed ? [2.5, 2.5] : SOLID);
  pen.stroke();
  pen.setLineDash(SOLID);
}

/** What tells a foreign track from an own one, whatever its class. @param {Pen} pen @param {number} x @param {number} y @param {string} colour */
export function drawForeignRing(pen, x, y, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1.6;
  pen.beginPath();
  pen.arc(x, y, RING, 0, 2 * Math.PI);
  pen.stroke();
}

/** Corners about the selected track. @param {Pen} pen @param {Shown} one */
function drawRing(pen, one) {
  const [outer, arm] = [15, 5];
  pen.strokeStyle = palette.focus;
  pen.lineWidth = 2;
  pen.beginPath();
  for (const [sx, sy] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
    pen.moveTo(one.x + sx * outer, one.y + sy * (outer - arm));
    pen.lineTo(one.x + sx * outer, one.y + sy * outer);
    pen.lineTo(one.x + sx * (outer - arm), one.y + sy * outer);
  }
  pen.stroke();
}

/** @param {Pen} pen @param {Shown} one @param {Labels} labels @param {boolean} chosen @param {import("./labels.js").NodeName} nodeOf */
function drawNumber(pen, one, labels, chosen, nodeOf) {
  pen.font = chosen ? BOLD : FONT;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  const text = labelText(one.track, nodeOf);
  let [x, y] = labels.place(one, pen.measureText(text).width);
  if (chosen) [x, y] = [x + Math.sign(x - one.x) * 8, y + Math.sign(y - one.y) * 8];
  pen.lineWidth = 3;
  pen.strokeStyle = palette.halo;
  pen.strokeText(text, x, y);
  pen.fillStyle = chosen ? palette.focus : one.stale ? palette.stale : one.track.foreign ? palette.foreign : palette.text;
  pen.fillText(text, x, y);
}
