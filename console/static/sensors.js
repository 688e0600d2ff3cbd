// @ts-check
// Health of the sensors: rate, age of the last report, what was refused and why, who is silent.

import { NONE, duration, number } from "./format.js";

/** Periods without a report, and least seconds, from which a sensor is called silent. */
const PERIODS = 3;
const LEAST_S = 3;
/** Span over which rates are taken, s. */
const WINDOW_S = 15;
/** Part of a sensor's messages that may be refused before it is marked. */
const REFUSED_PART = 0.05;

/** @typedef {Record<string, any>} Plain */
/**
 * @typedef {object} Health
 * @property {string} id
 * @property {string} adapter
 * @property {boolean} trouble
 * @property {string} state in words
 * @property {number} rate reports per second; NaN: not known
 * @property {number} age s since the last report; NaN: none, or not known
 * @property {number} detections since the journal began; NaN: not known
 * @property {Array<[string, number]>} refused by reason since the journal began, most first
 * @property {number} lately refused within the window; NaN: not known
 * @property {string} corrected what is taken off its detections, in words; empty: nothing
 * @property {boolean} placed
 * @property {number} lat
 * @property {number} lon
 */

export class SensorHealth {
  constructor() {
    /** Counts of the last seconds. @type {Array<{at: number, ingest: Plain}>} */
    this.samples = [];
    /** @type {Health[]} */
    this.rows = [];
  }

  /** Sensors that somebody should look at. */
  get troubled() {
    return this.rows.filter(({ trouble }) => trouble).length;
  }

  /** Take in a status. @param {Plain | null | undefined} status */
  take(status) {
    const core = status?.core ?? {};
    const ingest = core.counters?.ingest;
    const at = Number(core.time_ns) / 1e9;
    if (ingest && Number.isFinite(at) && at !== this.samples.at(-1)?.at) {
      if (at < (this.samples.at(-1)?.at ?? 0)) this.samples = []; // another life of the core
      this.samples.push({ at, ingest });
      while (this.samples.length > 2 && this.samples[1].at <= at - WINDOW_S) this.samples.shift();
    }
    const sensors = Array.isArray(status?.sensors) ? status.sensors : [];
    this.rows = sensors.map((/** @type {Plain} */ sensor) => this.judge(sensor, ingest));
  }

  /** @param {Plain} sensor @param {Plain | undefined} ingest @returns {Health} */
  judge(sensor, ingest) {
    const id = String(sensor.id);
    const counts = ingest && (ingest[id] ?? { detections: 0 }); // one that never spoke is not counted
    const age = typeof sensor.last_report_s === "number" ? sensor.last_report_s : NaN;
    const refused = /** @type {Array<[string, number]>} */ (Object.entries(counts?.refused ?? {})).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
    const lately = this.grown(id, (c) => sum(c.refused)) ?? NaN;
    const messages = this.grown(id, (c) => c.messages) ?? NaN;
    const silentFrom = sensor.sensing !== "event" && sensor.period_s > 0 ? Math.max(LEAST_S, PERIODS * sensor.period_s) : Infinity;
    const never = sensor.last_report_s === null && Boolean(ingest);
    const silent = age > silentFrom || (never && Number.isFinite(silentFrom));
    const refusing = lately > 0 && lately > REFUSED_PART * messages;
    const state = silent ? (never ? "never heard" : `silent ${duration(age)}`) : refusing ? "refused" : never ? "no report yet" : sensor.sensing === "event" ? "event" : Number.isNaN(age) ? NONE : "ok";
    const corrected = takenOff(sensor.registration);
    return {
      id,
      adapter: String(sensor.adapter ?? NONE),
      trouble: silent || refusing,
      state: corrected ? `${state}, corrected` : state,
      corrected,
      rate: this.rate(id),
      age,
      detections: typeof counts?.detections === "number" ? counts.detections : NaN,
      refused,
      lately,
      placed: Number.isFinite(sensor.lat) && Number.isFinite(sensor.lon),
      lat: sensor.lat,
      lon: sensor.lon,
    };
  }

  /** How much a count has grown within the window; null: not known. @param {string} id @param {(counts: Plain) => number} of */
  grown(id, of) {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (!last || first === last) return null;
    return Math.max(0, value(last.ingest[id], of) - value(first.ingest[id], of));
  }

  /** @param {string} id */
  rate(id) {
    const reports = this.grown(id, (c) => c.reports);
    const span = (this.samples.at(-1)?.at ?? 0) - (this.samples[0]?.at ?? 0);
    return reports === null || !(span > 0) ? NaN : reports / span;
  }
}

/** @param {Plain | undefined} counts @param {(counts: Plain) => number} of */
const value = (counts, of) => (counts ? Number(of(counts)) || 0 : 0);

/** @param {Record<string, number> | undefined} reasons */
const sum = (reasons) => Object.values(reasons ?? {}).reduce((total, n) => total + n, 0);

/** What a sensor is wrong by, and is therefore taken off. @param {Plain | null | undefined} found */
function takenOff(found) {
  if (!found?.applied) return "";
  const degrees = (Number(found.azimuth_rad) * 180) / Math.PI;
  const place = Math.hypot(Number(found.east_m), Number(found.north_m));
  return `taken off: range ${number(Number(found.range_m), 0)} m, azimuth ${number(degrees, 2)}°, time ${number(Number(found.time_s), 2)} s, place ${number(place, 0)} m`;
}

/** @param {HTMLElement} parent a table's body @param {Health[]} rows */
export function showSensors(parent, rows) {
  const sorted = [...rows].sort((a, b) => Number(b.trouble) - Number(a.trouble) || (a.id < b.id ? -1 : 1));
  while (parent.children.length > sorted.length) parent.lastElementChild?.remove();
  sorted.forEach((row, index) => {
    const line = /** @type {HTMLTableRowElement} */ (parent.children[index] ?? parent.appendChild(newRow()));
    line.dataset.trouble = String(row.trouble);
    const named = row.refused.map(([reason, count]) => `${reason.replaceAll("_", " ")} ${number(count, 0)}`).join(", ");
    const texts = [row.id, row.state, number(row.rate, row.rate < 10 ? 1 : 0), number(row.age, 1), number(row.detections, 0), named || (Number.isNaN(row.detections) ? NONE : "none")];
    texts.forEach((text, column) => {
      const cell = line.cells[column];
      if (cell.textContent !== text) cell.textContent = text;
    });
    const hint = row.lately > 0 ? `${named}; ${number(row.lately, 0)} in the last ${WINDOW_S} s` : named;
    if (line.cells[5].title !== hint) line.cells[5].title = hint;
    if (line.cells[1].title !== row.corrected) line.cells[1].title = row.corrected;
    line.cells[0].title = `${row.id}: adapter ${row.adapter}`;
  });
}

function newRow() {
  const row = document.createElement("tr");
  for (let column = 0; column < 6; column += 1) {
    const cell = row.insertCell();
    if (column >= 2 && column <= 4) cell.className = "number";
  }
  return row;
}
