// @ts-check
// The server's time as the page knows it between messages.

/** Offset that makes the page adopt a new time at once, ms: the server's clock was set. */
const STEP_MS = 2000;
/** How fast the estimate may drift back, ms per message: outlives a single late message. */
const DRIFT_MS = 0.2;

export class ServerClock {
  /** @param {() => number} monotonic ms, never set back */
  constructor(monotonic = () => performance.now()) {
    this.monotonic = monotonic;
    /** @type {number | null} server ms minus monotonic ms */
    this.offset = null;
  }

  /**
   * Take in the time stamp of a message that has just come. A message can only be late, so the
   * largest offset is the best.
   * @param {number} serverMs
   */
  observe(serverMs) {
    const offset = serverMs - this.monotonic();
    if (this.offset === null || Math.abs(offset - this.offset) > STEP_MS) this.offset = offset;
    else this.offset = Math.max(offset, this.offset - DRIFT_MS);
  }

  /** Server's time, ms since 1970 UTC; the page's own before the first message. */
  now() {
    return this.offset === null ? Date.now() : this.monotonic() + this.offset;
  }
}
