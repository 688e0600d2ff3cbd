// @ts-check
// What the signs on the map mean, drawn with the same code.

import { DASH, drawClass, drawForeignRing } from "./draw.js";
import { sensorPath } from "./layers.js";
import { palette } from "./palette.js";
import { CLASS_NAMES } from "./symbols.js";
import { AFFILIATION } from "./tracks.js";

/** @typedef {CanvasRenderingContext2D} Pen */

/** @param {HTMLElement} parent */
export function buildLegend(parent) {
  parent.replaceChildren();
  const classes = list(parent, "", "Class");
  for (const [label, name] of Object.entries(CLASS_NAMES)) {
    entry(classes, name, 20, (pen) => drawClass(pen, label, 10, 10, palette.text, false));
  }
  const colours = list(parent, "", "Affiliation");
  AFFILIATION.forEach((name, index) => {
    entry(colours, name, 20, (pen) => {
      pen.fillStyle = palette.affiliation[index];
      pen.fillRect(2, 8, 16, 4);
    });
  });
  entry(colours, "sensor", 20, (pen) => {
    pen.strokeStyle = palette.sensor;
    sensorPath(pen, 10, 8);
    pen.stroke();
  });
  const lines = list(parent, "lines", "Lines");
  entry(lines, "leader: way of the next minute", 34, (pen) => line(pen, []));
  entry(lines, "coasting: not seen now (C)", 34, (pen) => line(pen, DASH));
  entry(lines, "stale: where it was last", 34, (pen) => {
    drawClass(pen, "unknown", 17, 10, palette.stale, true);
    pen.beginPath();
    pen.moveTo(10, 17);
    pen.lineTo(24, 3);
    pen.stroke();
  });
  entry(lines, "ring, ‹node›: given by a partner", 34, (pen) => {
    drawForeignRing(pen, 17, 10, palette.foreign);
    drawClass(pen, "unknown", 17, 10, palette.text, false);
  });
  entry(lines, "frontier, de facto (Natural Earth)", 34, (pen) => line(pen, [5, 3], palette.border));
  entry(lines, "ellipse: 2σ, holds it with 86 %", 34, (pen) => {
    pen.strokeStyle = palette.text;
    pen.beginPath();
    pen.ellipse(17, 10, 14, 7, -0.2, 0, 2 * Math.PI);
    pen.stroke();
  });
}

/** @param {HTMLElement} parent @param {string} kind @param {string} title */
function list(parent, kind, title) {
  const heading = document.createElement("h3");
  heading.textContent = title;
  const items = document.createElement("ul");
  items.className = kind;
  parent.append(heading, items);
  return items;
}

/** @param {HTMLElement} parent @param {string} name @param {number} width @param {(pen: Pen) => void} draw */
function entry(parent, name, width, draw) {
  const item = document.createElement("li");
  const canvas = document.createElement("canvas");
  const ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = 20 * ratio;
  canvas.setAttribute("aria-hidden", "true");
  const pen = canvas.getContext("2d");
  if (pen) {
    pen.scale(ratio, ratio);
    draw(pen);
  }
  item.append(canvas, name);
  parent.append(item);
}

/** @param {Pen} pen @param {number[]} dash @param {string} [colour] */
function line(pen, dash, colour = palette.text) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(2, 10);
  pen.lineTo(32, 10);
  pen.stroke();
}
