// @ts-check
// Which track is selected: one for the map, the table and the details.

/**
 * A selected track that is gone stays selected for so long, ms: what a partner withdraws because it
 * is at the edge of what was agreed often comes back within a second, and the operator keeps his card.
 */
const HOLD_MS = 5000;

export class Selection {
  constructor() {
    /** @type {string | null} */
    this.id = null;
    /** When the selected track went, ms; NaN: it is there. */
    this.goneAt = NaN;
    /** @type {Array<(id: string | null, from: string) => void>} */
    this.listeners = [];
  }

  /** @param {(id: string | null, from: string) => void} listener */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** @param {string | null} id @param {"map" | "table" | "page"} from who chose it */
  set(id, from) {
    if (id === this.id) return;
    this.id = id;
    this.goneAt = NaN;
    for (const listener of this.listeners) listener(id, from);
  }

  /** Say with every message whether the selected track is there. @param {boolean} there @param {number} now ms */
  hold(there, now) {
    if (there) this.goneAt = NaN;
    else if (Number.isNaN(this.goneAt)) this.goneAt = now;
    else if (now - this.goneAt > HOLD_MS) this.set(null, "page");
  }
}
