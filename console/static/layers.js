// @ts-check
// What lies under the tracks: the graticule, the site's own lines, the scale bar and the sensors.

import { distance } from "./format.js";
import { latOf, lonOf, mercatorX, mercatorY } from "./geo.js";
import { FONT, palette } from "./palette.js";

/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {import("./camera.js").Camera} Camera */

/** Spacings of the graticule, minutes of arc. */
const STEPS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800];
/** Least pixels between two lines. */
const GAP = 110;

/** @param {number} pixelsPerMinute */
const step = (pixelsPerMinute) => STEPS.find((minutes) => minutes * pixelsPerMinute >= GAP) ?? STEPS[STEPS.length - 1];

/** @param {number} minutes @param {number} spacing @param {string} positive @param {string} negative */
function lineLabel(minutes, spacing, positive, negative) {
  const whole = Math.round(Math.abs(minutes) * 100); // 1/100 minute: 0.25 and 0.05 stay exact
  const rest = (whole % 6000) / 100;
  const digits = spacing < 0.1 || spacing === 0.25 ? 2 : spacing < 1 ? 1 : 0;
  const side = whole === 0 ? "" : minutes < 0 ? negative : positive;
  const degrees = `${Math.floor(whole / 6000)}°`;
  return `${degrees}${spacing % 60 ? `${rest.toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}′` : ""}${side}`;
}

/** Lines of latitude and longitude with their degrees at the edge. @param {Pen} pen @param {Camera} camera */
export function drawGraticule(pen, camera) {
  const { width, height, scale } = camera;
  const [x0, y0] = camera.unproject(0, 0);
  const [x1, y1] = camera.unproject(width, height);
  pen.strokeStyle = palette.grid;
  pen.fillStyle = palette.gridText;
  pen.lineWidth = 1;
  pen.font = FONT;
  pen.beginPath();

  const across = step(scale / 360 / 60);
  pen.textBaseline = "bottom";
  pen.textAlign = "left";
  for (let m = Math.ceil((lonOf(x0) * 60) / across) * across; m <= lonOf(x1) * 60; m += across) {
    const px = Math.round((mercatorX(m / 60) - x0) * scale) + 0.5;
    pen.moveTo(px, 0);
    pen.lineTo(px, height);
    const turned = ((((m + 10_800) % 21_600) + 21_600) % 21_600) - 10_800;
    pen.fillText(lineLabel(turned, across, "E", "W"), px + 4, height - 4);
  }

  const [bottom, top] = [latOf(y1), latOf(y0)];
  const stretch = 1 / Math.max(0.05, Math.cos((((bottom + top) / 2) * Math.PI) / 180));
  const up = step((scale / 360 / 60) * stretch);
  pen.textAlign = "right";
  for (let m = Math.ceil((bottom * 60) / up) * up; m <= top * 60; m += up) {
    const py = Math.round((mercatorY(m / 60) - y0) * scale) + 0.5;
    pen.moveTo(0, py);
    pen.lineTo(width, py);
    if (py > 40 && py < height - 60) pen.fillText(lineLabel(m, up, "N", "S"), width - 6, py - 2);
  }
  pen.stroke();
}

/** A bar of a round length at the bottom right. @param {Pen} pen @param {Camera} camera */
export function drawScaleBar(pen, camera) {
  const longest = 180 / camera.pixelsPerMetre;
  const power = 10 ** Math.floor(Math.log10(longest));
  const metres = ([5, 2, 1].find((m) => m * power <= longest) ?? 1) * power;
  const length = metres * camera.pixelsPerMetre;
  const [right, y] = [camera.width - 62, camera.height - 34];
  pen.strokeStyle = palette.text;
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(right - length, y - 5);
  pen.lineTo(right - length, y);
  pen.lineTo(right, y);
  pen.lineTo(right, y - 5);
  pen.stroke();
  pen.fillStyle = palette.text;
  pen.font = FONT;
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  pen.fillText(distance(metres), right - length / 2, y - 3);
}

/** @typedef {{name: string, points: Array<[number, number]>}} SiteLine degrees: latitude, longitude */

/** The site's own lines, each with its name at its first point. @param {Pen} pen @param {Camera} camera @param {SiteLine[]} lines */
export function drawLines(pen, camera, lines) {
  pen.font = FONT;
  pen.textAlign = "left";
  pen.textBaseline = "bottom";
  for (const { name, points } of lines) {
    const places = points.map(([lat, lon]) => camera.project(mercatorX(lon), mercatorY(lat)));
    pen.strokeStyle = palette.line;
    pen.lineWidth = 2;
    pen.setLineDash([10, 4, 2, 4]);
    pen.beginPath();
    places.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    pen.setLineDash([]);
    const [x, y] = places[0];
    pen.lineWidth = 3;
    pen.strokeStyle = palette.halo;
    pen.strokeText(name, x + 5, y - 4);
    pen.fillStyle = palette.line;
    pen.fillText(name, x + 5, y - 4);
  }
}

/** @typedef {{id: string, lat: number, lon: number, trouble: boolean}} SensorPlace */

/** @typedef {{x: number, y: number, names: string[], trouble: boolean}} Mast sensors that stand at one place on the screen */

/** Sensors within so many pixels share a mast. */
const TOGETHER = 12;
/** Height of a line of names, pixels. */
const LINE = 13;

/** Sensors in view, those that stand together as one. @param {Camera} camera @param {SensorPlace[]} sensors @returns {Mast[]} */
export function masts(camera, sensors) {
  /** @type {Mast[]} */
  const found = [];
  for (const sensor of sensors) {
    const [x, y] = camera.project(mercatorX(sensor.lon), mercatorY(sensor.lat));
    if (x < -80 || y < -20 || x > camera.width + 20 || y > camera.height + 20) continue;
    const name = sensor.trouble ? `▲ ${sensor.id}` : sensor.id;
    const other = found.find((one) => Math.hypot(one.x - x, one.y - y) < TOGETHER);
    if (other) {
      other.names.push(name);
      other.trouble ||= sensor.trouble;
    } else found.push({ x, y, names: [name], trouble: sensor.trouble });
  }
  return found;
}

/** What the names of a mast cover: left, top, right, bottom. @param {Pen} pen @param {Mast} mast */
export function namesBox(pen, { x, y, names }) {
  pen.font = FONT;
  const width = Math.max(...names.map((name) => pen.measureText(name).width));
  return [x + 10, y + 9 - LINE / 2, x + 12 + width, y + 9 + LINE * (names.length - 0.5)];
}

/** Sensors with their names. @param {Pen} pen @param {Mast[]} found */
export function drawSensors(pen, found) {
  pen.font = FONT;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  for (const { x, y, names, trouble } of found) {
    pen.strokeStyle = trouble ? palette.warn : palette.sensor;
    pen.lineWidth = 1.5;
    sensorPath(pen, x, y);
    pen.stroke();
    pen.lineWidth = 3;
    pen.strokeStyle = palette.halo;
    names.forEach((name, i) => {
      pen.strokeText(name, x + 11, y + 9 + LINE * i);
      pen.fillStyle = name.startsWith("▲") ? palette.warn : palette.sensor;
      pen.fillText(name, x + 11, y + 9 + LINE * i);
    });
  }
}

/** A mast with its waves. @param {Pen} pen @param {number} x @param {number} y */
export function sensorPath(pen, x, y) {
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x, y + 8);
  pen.moveTo(x - 4, y + 8);
  pen.lineTo(x + 4, y + 8);
  for (const radius of [4, 8]) {
    pen.moveTo(x + radius * Math.cos(-0.8), y + radius * Math.sin(-0.8));
    pen.arc(x, y, radius, -0.8, 0.8);
    pen.moveTo(x + radius * Math.cos(Math.PI - 0.8), y + radius * Math.sin(Math.PI - 0.8));
    pen.arc(x, y, radius, Math.PI - 0.8, Math.PI + 0.8);
  }
}
