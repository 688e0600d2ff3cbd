// @ts-check
// What the feed does not carry of the selected track: all class probabilities, and when each sensor
// contributed. Asked once a second, for the selected track alone.

const PERIOD_MS = 1000;
const TIMEOUT_MS = 4000;

/**
 * @typedef {object} Answer as /api/openapi.json describes it
 * @property {string} time
 * @property {{class: Record<string, number>, sensors: string[], authority_epoch: number, known_offset: number} | null} track
 * @property {Array<{sensor: string, time: string, age_s: number}>} contributions newest first
 * @property {string | null} [doubted_since] since when its identity is doubted
 */

export class Inquiry {
  /** @param {() => void} onAnswer */
  constructor(onAnswer) {
    this.onAnswer = onAnswer;
    /** @type {{id: string, answer: Answer} | null} */
    this.known = null;
    this.url = "";
    this.id = "";
    /** @type {number | undefined} */
    this.timer = undefined;
  }

  /** @param {import("./tracks.js").Track | undefined} track @param {string} node whose it is */
  about(track, node) {
    clearTimeout(this.timer);
    this.id = track?.id ?? "";
    if (this.known?.id !== this.id) this.known = null;
    if (!track) return;
    const query = track.foreign ? `?node=${encodeURIComponent(node)}` : "";
    this.url = `/api/tracks/${track.trackId}${query}`;
    void this.ask();
  }

  /** The answer about a track, if it has come. @param {string} id */
  of(id) {
    return this.known?.id === id ? this.known.answer : null;
  }

  async ask() {
    const { id, url } = this;
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
      if (id !== this.id) return;
      if (answer.ok) {
        this.known = { id, answer: await answer.json() };
        this.onAnswer();
      }
    } catch {
      // the notice says that the node is away; what is known stays, with its age
    }
    if (id === this.id) this.timer = setTimeout(() => void this.ask(), PERIOD_MS);
  }
}
