// @ts-check
// A shape for each class of mover: told apart without colour, and the same whatever its course.

/** @typedef {CanvasRenderingContext2D} Pen */

/**
 * Corners of a closed shape, in units of the symbol's radius.
 * @type {Record<string, Array<[number, number]>>}
 */
const OUTLINES = {
  land_vehicle: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  sea_vessel: [[-1.1, -0.35], [1.1, -0.35], [0.65, 0.85], [-0.65, 0.85]],
  air_vehicle: [[0, -1.2], [1.1, 0.9], [-1.1, 0.9]],
  uav: [[0, 1.2], [1.1, -0.9], [-1.1, -0.9]],
  unknown: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
  other: [[-1, -0.6], [0, -1.2], [1, -0.6], [1, 0.6], [0, 1.2], [-1, 0.6]],
};

export const CLASS_NAMES = {
  human: "human",
  animal: "animal",
  land_vehicle: "land vehicle",
  air_vehicle: "air vehicle",
  uav: "UAV",
  sea_vessel: "sea vessel",
  other: "other",
  unknown: "unknown",
};

/** Words for a class. @param {string} label */
export const className = (label) => CLASS_NAMES[/** @type {keyof typeof CLASS_NAMES} */ (label)] ?? label.replaceAll("_", " ");

/**
 * Put the path of a class's symbol under the pen.
 * @param {Pen} pen @param {string} label @param {number} x @param {number} y @param {number} size
 */
export function symbolPath(pen, label, x, y, size) {
  pen.beginPath();
  const outline = OUTLINES[label];
  if (outline) {
    outline.forEach(([dx, dy], i) => (i ? pen.lineTo(x + dx * size, y + dy * size) : pen.moveTo(x + dx * size, y + dy * size)));
    pen.closePath();
    if (label === "sea_vessel") {
      pen.moveTo(x, y - 0.35 * size);
      pen.lineTo(x, y - 1.15 * size);
    }
    return;
  }
  // living movers are round: a human has a point in the middle, an animal is an oval without one
  if (label === "animal") {
    pen.ellipse(x, y, 1.15 * size, 0.7 * size, 0, 0, 2 * Math.PI);
    return;
  }
  pen.arc(x, y, 0.95 * size, 0, 2 * Math.PI);
  if (label === "human") {
    pen.moveTo(x + 0.25 * size, y);
    pen.arc(x, y, 0.25 * size, 0, 2 * Math.PI);
  }
}
