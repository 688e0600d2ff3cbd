// @ts-check
// Where each track's number stands: beside its symbol, on the side where it covers least.

import { FONT } from "./palette.js";

/** @typedef {import("./draw.js").Shown} Shown */
/** @typedef {import("./tracks.js").Track} Track */
/** @typedef {(track: Track) => string} NodeName */

/** Offsets of the nearest corner of the text from the symbol: right, left, above or below. */
const SIDES = [[11, -9], [-11, -9], [11, 9], [-11, 9], [0, -17], [0, 17]];
const HEIGHT = 12;
/** Half the room that a symbol takes, pixels. */
const SYMBOL = 8;
/** Time for which a number keeps its side, ms: numbers that hop are hard to read. */
const KEEP_MS = 700;
/** What a change of side must save, square pixels. */
const HABIT = 60;

/** Square pixels that two boxes (x, y, half width, half height) share. @param {number[]} a @param {number[]} b */
function overlap(a, b) {
  const x = a[2] + b[2] - Math.abs(a[0] - b[0]);
  const y = a[3] + b[3] - Math.abs(a[1] - b[1]);
  return x > 0 && y > 0 ? x * y : 0;
}

export class Labels {
  constructor() {
    /** @type {Map<string, number>} side by track */
    this.sides = new Map();
    this.chosenAt = -Infinity;
  }

  /**
   * Middle of a track's number, pixels.
   * @param {Shown} one @param {number} width of the text
   * @returns {[number, number]}
   */
  place(one, width) {
    return middle(one, this.sides.get(one.track.id) ?? 0, width);
  }

  /**
   * Choose the sides anew where it is time.
   * @param {CanvasRenderingContext2D} pen @param {Shown[]} shown @param {number[][]} fixed boxes
   *   that should stay free besides the symbols
   * @param {NodeName} nodeOf
   */
  arrange(pen, shown, fixed, nodeOf) {
    const time = performance.now();
    if (time - this.chosenAt < KEEP_MS) return;
    this.chosenAt = time;
    pen.font = FONT;
    const boxes = [...fixed, ...shown.map((one) => [one.x, one.y, SYMBOL, SYMBOL])];
    /** @type {Map<string, number>} */
    const sides = new Map();
    for (const one of shown) {
      const width = pen.measureText(labelText(one.track, nodeOf)).width;
      const before = this.sides.get(one.track.id) ?? 0;
      let best = before;
      let least = Infinity;
      SIDES.forEach((_, side) => {
        const box = [...middle(one, side, width), width / 2, HEIGHT / 2];
        let cost = side === before ? 0 : HABIT;
        for (const other of boxes) cost += overlap(box, other);
        if (cost < least) [best, least] = [side, cost];
      });
      sides.set(one.track.id, best);
      boxes.push([...middle(one, best, width), width / 2, HEIGHT / 2]);
    }
    this.sides = sides;
  }
}

/** @param {Shown} one @param {number} side @param {number} width @returns {[number, number]} */
function middle(one, side, width) {
  const [dx, dy] = SIDES[side];
  return [one.x + dx + (Math.sign(dx) * width) / 2, one.y + dy];
}

/** What stands beside a track: its number, C where it coasts, and the node of a foreign one. @param {Track} track @param {NodeName} nodeOf */
export function labelText(track, nodeOf) {
  const number = track.status === 2 ? `${track.number} C` : track.number;
  return track.foreign ? `${number} ‹${nodeOf(track)}›` : number;
}
