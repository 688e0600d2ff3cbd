// @ts-check
// The table of tracks: sortable, only the rows in view exist, one selected row.

import { bearing, number } from "./format.js";
import { className } from "./symbols.js";
import { STATUS } from "./tracks.js";

/** @typedef {import("./tracks.js").Track} Track */
/** @typedef {import("./tracks.js").Tracks} Tracks */

/** Height of a row, pixels; as in style.css. */
const ROW = 26;
/** Rows kept ready above and below the view. */
const SPARE = 6;

/**
 * @typedef {object} Field
 * @property {string} title
 * @property {string} hint
 * @property {number} width pixels; 0: what is left
 * @property {boolean} [numeric]
 * @property {(track: Track, now: number, tracks: Tracks) => number | string} key what it is sorted by
 * @property {(track: Track, now: number, tracks: Tracks) => string} text
 */

/** @param {Track} track @param {number} now */
const life = (track, now) => (track.isStale(now) ? "stale" : STATUS[track.status] ?? "?");

/** @param {Track} track @param {Tracks} all */
const from = (track, all) => (track.foreign ? `‹${all.nodeOf(track)}›` : "own");

/** @type {Field[]} */
const FIELDS = [
  { title: "No.", hint: "Spoken number", width: 66, key: (t) => t.number, text: (t) => t.number },
  { title: "From", hint: "Whose track: own, or the node that gave it", width: 66, key: (t, _, all) => from(t, all), text: (t, _, all) => from(t, all) },
  { title: "Class", hint: "Most probable class", width: 96, key: (t) => className(t.classification), text: (t) => className(t.classification) },
  { title: "m/s", hint: "Speed over ground, m/s", width: 48, numeric: true, key: (t) => t.speed, text: (t) => number(t.speed, 1) },
  { title: "Course", hint: "Course over ground, degrees from true north", width: 58, numeric: true, key: (t) => t.course, text: (t) => bearing(t.course) },
  { title: "Age s", hint: "Time since the state was valid, s", width: 52, numeric: true, key: (t, now) => t.age(now), text: (t, now) => number(t.age(now), 1) },
  { title: "Exist.", hint: "Probability that it is real, %", width: 54, numeric: true, key: (t) => t.existence, text: (t) => number(t.existence * 100, 0, "%") },
  { title: "Sensors", hint: "Sensors that contributed last", width: 0, key: (t, _, all) => all.sensorNames(t).join(" "), text: (t, _, all) => all.sensorNames(t).join(" ") },
  { title: "Status", hint: "Confirmed, coasting (not seen now), or stale", width: 80, key: life, text: life },
];

export class TrackTable {
  /**
   * @param {{table: HTMLTableElement, head: HTMLElement, body: HTMLElement, scroll: HTMLElement, empty: HTMLElement}} parts
   * @param {Tracks} tracks
   * @param {import("./selection.js").Selection} selection
   * @param {import("./origin.js").OriginFilter} filter
   */
  constructor(parts, tracks, selection, filter) {
    this.parts = parts;
    this.tracks = tracks;
    this.selection = selection;
    this.filter = filter;
    this.sortBy = 0;
    this.falling = false;
    /** @type {Track[]} */
    this.order = [];
    this.now = 0;
    this.buildHead();
    parts.scroll.addEventListener("scroll", () => this.render());
    new ResizeObserver(() => this.render()).observe(parts.scroll);
    parts.body.addEventListener("click", (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest("tr");
      if (row?.dataset.id) selection.set(row.dataset.id, "table");
    });
    parts.table.addEventListener("keydown", (event) => this.key(event));
    selection.listen((id, from) => {
      if (id !== null && from !== "table") this.reveal();
      this.render();
    });
  }

  buildHead() {
    FIELDS.forEach((field, index) => {
      const cell = document.createElement("th");
      cell.scope = "col";
      if (field.width) cell.style.width = `${field.width}px`;
      if (field.numeric) cell.className = "number";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = field.title;
      button.title = `${field.hint}. Sort`;
      button.setAttribute("aria-label", `${field.hint}: sort`);
      button.addEventListener("click", () => this.sort(index));
      cell.append(button);
      this.parts.head.append(cell);
    });
    this.markSort();
  }

  /** Sort by a column; again: the other way. @param {number} index */
  sort(index) {
    this.falling = index === this.sortBy ? !this.falling : false;
    this.sortBy = index;
    this.markSort();
    this.refresh(this.now);
  }

  markSort() {
    [...this.parts.head.children].forEach((cell, index) => {
      cell.setAttribute("aria-sort", index !== this.sortBy ? "none" : this.falling ? "descending" : "ascending");
    });
  }

  /** Sort anew and show what is in view. @param {number} now server's time, ms */
  refresh(now) {
    this.now = now;
    const { key } = FIELDS[this.sortBy];
    const sign = this.falling ? -1 : 1;
    const keyed = [...this.filter.of(this.tracks)].map((track) => ({ track, key: key(track, now, this.tracks) }));
    keyed.sort((a, b) => compare(a.key, b.key, sign) || compare(a.track.number, b.track.number, 1));
    this.order = keyed.map(({ track }) => track);
    this.parts.empty.hidden = this.order.length > 0;
    this.parts.table.setAttribute("aria-rowcount", String(this.order.length + 1));
    this.render();
  }

  render() {
    const { body, scroll, table } = this.parts;
    const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - SPARE);
    const last = Math.min(this.order.length, Math.ceil((scroll.scrollTop + scroll.clientHeight) / ROW) + SPARE);
    const wanted = Math.max(0, last - first);
    const [above, below] = this.gaps();
    above.style.height = `${first * ROW}px`;
    below.style.height = `${Math.max(0, this.order.length - last) * ROW}px`;
    while (body.children.length - 2 > wanted) below.previousElementSibling?.remove();
    while (body.children.length - 2 < wanted) body.insertBefore(newRow(), below);
    let active = "";
    for (let i = 0; i < wanted; i += 1) {
      const row = /** @type {HTMLTableRowElement} */ (body.children[i + 1]);
      const chosen = this.fill(row, this.order[first + i], first + i);
      if (chosen) active = row.id;
    }
    if (active) table.setAttribute("aria-activedescendant", active);
    else table.removeAttribute("aria-activedescendant");
  }

  /** Two empty rows stand for those above and below the view. @returns {[HTMLElement, HTMLElement]} */
  gaps() {
    const { body } = this.parts;
    if (!body.children.length) {
      for (let i = 0; i < 2; i += 1) {
        const gap = document.createElement("tr");
        gap.className = "gap";
        gap.setAttribute("aria-hidden", "true");
        body.append(gap);
      }
    }
    return [/** @type {HTMLElement} */ (body.firstElementChild), /** @type {HTMLElement} */ (body.lastElementChild)];
  }

  /** @param {HTMLTableRowElement} row @param {Track} track @param {number} index @returns {boolean} whether it is selected */
  fill(row, track, index) {
    const chosen = track.id === this.selection.id;
    row.id = `track-${track.id.replace(":", "-")}`;
    row.dataset.id = track.id;
    row.dataset.life = life(track, this.now);
    row.dataset.origin = track.foreign ? "foreign" : "own";
    row.setAttribute("aria-rowindex", String(index + 2));
    row.setAttribute("aria-selected", String(chosen));
    FIELDS.forEach((field, column) => {
      const cell = row.cells[column];
      const text = field.text(track, this.now, this.tracks);
      if (cell.textContent !== text) cell.textContent = text;
      if (field.title === "Sensors" && cell.title !== text) cell.title = text;
    });
    return chosen;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.target !== this.parts.table) return; // a header button keeps its own keys
    const page = Math.max(1, Math.floor(this.parts.scroll.clientHeight / ROW) - 2);
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.step(step, "table");
    this.reveal();
  }

  /** Select the track so many rows on. @param {number} by @param {"table" | "page"} from */
  step(by, from) {
    if (!this.order.length) return;
    const at = this.order.findIndex((track) => track.id === this.selection.id);
    const start = at < 0 ? (by > 0 ? -1 : this.order.length) : at;
    const next = Math.max(0, Math.min(this.order.length - 1, start + by));
    this.selection.set(this.order[next].id, from);
  }

  /** Scroll so that the selected row is in view. */
  reveal() {
    const at = this.order.findIndex((track) => track.id === this.selection.id);
    if (at < 0) return;
    const { scroll, head } = this.parts;
    const covered = head.offsetHeight;
    const [top, bottom] = [at * ROW, (at + 1) * ROW + covered];
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (bottom > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = bottom - scroll.clientHeight;
  }
}

function newRow() {
  const row = document.createElement("tr");
  for (const field of FIELDS) {
    const cell = row.insertCell();
    if (field.numeric) cell.className = "number";
  }
  return row;
}

/** Numbers by size, words by the alphabet; what is not known stands last either way. @param {number | string} a @param {number | string} b @param {number} sign */
function compare(a, b, sign) {
  if (typeof a === "number" && typeof b === "number") {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return sign * (a - b);
  }
  return sign * (a < b ? -1 : Number(a > b));
}
