// @ts-check
// Puts the page together: the feed fills the tracks; map, table and details show them.

import { ServerClock } from "./clock.js";
import { showDetails } from "./details.js";
import { Feed } from "./feed.js";
import { clockTime, number } from "./format.js";
import { listenToMap } from "./input.js";
import { buildLegend } from "./legend.js";
import { TrackMap } from "./map.js";
import { STALE_S, judge, showNotice } from "./notice.js";
import { Selection } from "./selection.js";
import { sensorPlaces, showStatus, watchStatus } from "./status.js";
import { TrackTable } from "./table.js";
import { Tracks } from "./tracks.js";

/** Time between two refreshes of texts and table, ms. */
const TEXT_MS = 500;
const LINK = { connecting: "connecting", open: "connected", lost: "no connection" };

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const tracks = new Tracks();
const clock = new ServerClock();
const selection = new Selection();
const map = new TrackMap(/** @type {HTMLCanvasElement} */ (element("map")), tracks, clock, selection);
const table = new TrackTable(
  {
    table: /** @type {HTMLTableElement} */ (element("table")),
    head: element("table-head"),
    body: element("table-body"),
    scroll: element("scroll"),
    empty: element("table-empty"),
  },
  tracks,
  selection,
);
listenToMap(map, selection, element("pointer"));
buildLegend(element("legend-body"));

/** @type {Record<string, any> | null} */
let status = null;
/** What the map has been moved to by itself. @type {"nothing" | "region" | "tracks"} */
let placed = "nothing";

const url = new URL("/feed", location.href);
url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const feed = new Feed(
  url.href,
  (message) => {
    clock.observe(message.serverMs);
    tracks.apply(message, clock.now());
    if (selection.id !== null && !tracks.get(selection.id)) selection.set(null, "page");
    if (placed !== "tracks" && !map.touched && tracks.size && map.fit()) placed = "tracks";
  },
  (state) => {
    element("link").textContent = LINK[state];
    element("link").dataset.state = state;
    refresh();
  },
);

selection.listen((_, from) => {
  if (from !== "map") map.reveal();
  refresh();
});

watchStatus((answer, fault) => {
  status = answer ?? status;
  showStatus(element("status"), answer, fault);
  map.sensors = sensorPlaces(status);
  const region = status?.status?.region;
  if (placed === "nothing" && !map.touched && Number.isFinite(region?.lat) && Number.isFinite(region?.lon)) {
    map.camera.fitCircle(region.lat, region.lon, 1000 * (region.radius_km ?? 10));
    placed = "region";
  }
  showNode(answer);
});

/** @param {Record<string, any> | null} answer the newest, null: none came */
function showNode(answer) {
  const name = tracks.node || status?.node || "…";
  element("node").textContent = name;
  document.title = `${name} · Vedette`;
  const exercise = status?.status?.mode === "exercise";
  document.body.dataset.mode = exercise ? "exercise" : "live";
  element("mode").hidden = !exercise;
  element("mode").textContent = exercise ? "EXERCISE" : "";
  element("health").hidden = answer?.ok !== false;
  element("health").textContent = answer?.ok === false ? `Node not well: ${answer.reason}` : "";
}

function refresh() {
  const now = map.now;
  table.refresh(now);
  showDetails(element("details"), tracks, tracks.get(selection.id), now);
  showCounts();
  const notice = judge({
    link: feed.state,
    fault: feed.fault,
    openedFor: performance.now(),
    now: clock.now(),
    newestMs: tracks.newestMs,
    coreMs: tracks.coreMs,
    tracks: tracks.size,
    staleS: status?.status?.stale_after_s ?? STALE_S,
  });
  showNotice(element("notice"), notice);
  document.body.dataset.picture = notice?.level ?? "live"; // the map is dimmed unless it is live
}

function showCounts() {
  let coasting = 0;
  for (const track of tracks) if (track.status === 2) coasting += 1;
  const parts = [[tracks.size - coasting, "confirmed"], [coasting, "coasting"], [tracks.tentative, "tentative (not shown)"]];
  element("counts").replaceChildren(...parts.flatMap(([count, name], index) => {
    const figure = document.createElement("b");
    figure.textContent = number(count, 0);
    return [index ? " · " : "", figure, ` ${name}`];
  }));
}

function showClock() {
  const now = clock.now();
  const date = document.createElement("small");
  date.textContent = new Date(now).toISOString().slice(0, 10);
  element("utc").replaceChildren(clockTime(now), date);
  setTimeout(showClock, 1000 - (now % 1000) + 5);
}

/** @type {Record<string, () => void>} */
const keys = {
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(-0.5),
  f: () => fit(),
  n: () => table.step(1, "page"),
  p: () => table.step(-1, "page"),
  c: () => map.centreSelected(),
  Escape: () => selection.set(null, "page"),
  "?": () => help(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || dialog.open) return;
  const onButton = event.target instanceof HTMLButtonElement || (event.target instanceof HTMLElement && event.target.tagName === "SUMMARY");
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "Enter" && !onButton) map.centreSelected();
  else keys[key]?.();
});

/** @param {number} steps */
function zoom(steps) {
  map.touched = true;
  map.camera.zoomBy(steps);
}

function fit() {
  map.touched = true;
  map.fit();
}

const dialog = /** @type {HTMLDialogElement} */ (element("keys-dialog"));
const help = () => dialog.showModal();
element("zoom-in").addEventListener("click", () => zoom(1));
element("zoom-out").addEventListener("click", () => zoom(-1));
element("fit").addEventListener("click", fit);
element("help").addEventListener("click", help);

showClock();
refresh();
setInterval(refresh, TEXT_MS);
