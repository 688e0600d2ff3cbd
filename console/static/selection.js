// @ts-check
// Which track is selected: one for the map, the table and the details.

export class Selection {
  constructor() {
    /** @type {string | null} */
    this.id = null;
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
    for (const listener of this.listeners) listener(id, from);
  }
}
