// @ts-check
// Where a track was: a ring of fixed size, so that memory is bounded whatever runs for how long.

/** How far back, ms. */
export const TRAIL_MS = 120_000;
/** Least time between two points, ms. */
const STEP_MS = 950;
/** A time so far behind the last is another history (a replay), not a correction, ms. */
const BACK_MS = 10_000;
const POINTS = 128;

export class Trail {
  constructor() {
    /** @type {Float64Array | null} time, x, y of each point */
    this.ring = null;
    this.count = 0;
    this.next = 0;
    this.last = -Infinity;
  }

  /** @param {number} time ms @param {number} x @param {number} y world units */
  push(time, x, y) {
    if (time < this.last - BACK_MS) this.count = 0;
    else if (time < this.last + STEP_MS) return;
    this.ring ??= new Float64Array(3 * POINTS);
    this.ring.set([time, x, y], 3 * this.next);
    this.next = (this.next + 1) % POINTS;
    this.count = Math.min(POINTS, this.count + 1);
    this.last = time;
  }

  /**
   * Visit the points of the last two minutes, oldest first.
   * @param {number} now ms @param {(x: number, y: number) => void} visit
   */
  each(now, visit) {
    const ring = this.ring;
    if (!ring) return;
    for (let i = this.count; i > 0; i -= 1) {
      const at = 3 * ((this.next - i + POINTS) % POINTS);
      if (ring[at] >= now - TRAIL_MS) visit(ring[at + 1], ring[at + 2]);
    }
  }
}
