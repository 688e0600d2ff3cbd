// @ts-check
// Puts the page together: the feed fills the tracks; map, table and details show them.

import { ServerClock } from "./clock.js";
import { showDetails, showGone } from "./details.js";
import { Feed } from "./feed.js";
import { clockTime, number } from "./format.js";
import { listenToMap } from "./input.js";
import { Inquiry } from "./inquiry.js";
import { buildLegend } from "./legend.js";
import { TrackMap } from "./map.js";
import { STALE_S, judge, showNotice } from "./notice.js";
import { OriginFilter } from "./origin.js";
import { PartnerHealth, showPartners, shownOf } from "./partners.js";
import { Selection } from "./selection.js";
import { SensorHealth, showSensors } from "./sensors.js";
import { showStatus, siteLines, watchStatus } from "./status.js";
import { TrackTable } from "./table.js";
import { Tabs } from "./tabs.js";
import { Theme } from "./theme.js";
import { Tracks } from "./tracks.js";

/** The tabs. */
const [TRACK, SENSORS, PARTNERS, NODE] = [0, 1, 2, 3];
/** Time between two refreshes of texts and table, ms. */
const TEXT_MS = 500;
const LINK = { connecting: "connecting", open: "connected", lost: "no connection" };

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const tracks = new Tracks();
const clock = new ServerClock();
const selection = new Selection();
const theme = new Theme();
const filter = new OriginFilter(element("origins"), element("filtered"), tracks);
const map = new TrackMap(
  {
    base: element("base"),
    ground: /** @type {HTMLCanvasElement} */ (element("ground")),
    canvas: /** @type {HTMLCanvasElement} */ (element("map")),
  },
  tracks,
  clock,
  selection,
  filter,
);
const tabs = new Tabs(element("tabs"));
const health = new SensorHealth();
const partners = new PartnerHealth();
const inquiry = new Inquiry(() => showCard());
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
  filter,
);
listenToMap(map, selection, element("pointer"));

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
    selection.hold(selection.id === null || tracks.get(selection.id) !== undefined, clock.now());
    if (placed !== "tracks" && !map.touched && tracks.size && map.fit()) placed = "tracks";
  },
  (state) => {
    element("link").textContent = LINK[state];
    element("link").dataset.state = state;
    refresh();
  },
);

selection.listen((id, from) => {
  const track = tracks.get(id);
  if (from !== "map") map.reveal();
  if (track) tabs.open(TRACK);
  inquiry.about(track, track ? tracks.nodeOf(track) : "");
  refresh();
});
filter.listen(() => {
  const track = tracks.get(selection.id);
  if (track && !filter.passes(track)) selection.set(null, "page");
  else refresh();
});
theme.listen(() => {
  map.repaint();
  showLight();
});

watchStatus((answer, fault) => {
  status = answer ?? status;
  showStatus(element("status"), answer, fault);
  showHealth(answer);
  map.ground.set(
    health.rows.filter(({ placed }) => placed).map(({ id, lat, lon, trouble }) => ({ id, lat, lon, trouble })),
    siteLines(status),
  );
  map.ground.places.setSite(status?.status?.places);
  if (answer) startBase(answer.base_map ?? "");
  const region = status?.status?.region;
  if (placed === "nothing" && !map.touched && Number.isFinite(region?.lat) && Number.isFinite(region?.lon)) {
    map.camera.fitCircle(region.lat, region.lon, 1000 * (region.radius_km ?? 10));
    placed = "region";
  }
  showNode(answer);
});

/** Sensors, partners and the marks on their tabs. @param {Record<string, any> | null} answer */
function showHealth(answer) {
  if (answer) {
    health.take(answer.status);
    partners.take(answer.status, shownOf(tracks, clock.now()));
  }
  showSensors(element("sensor-rows"), health.rows);
  const { links } = partners;
  showPartners(element("partners"), links);
  const well = health.rows.length - health.troubled;
  tabs.mark(SENSORS, health.rows.length ? `Sensors ${well}/${health.rows.length}` : "Sensors", health.troubled > 0);
  const linked = links.length - partners.troubled;
  tabs.mark(PARTNERS, links.length ? `Partners ${linked}/${links.length}` : "Partners", partners.troubled > 0);
  tabs.mark(NODE, "Node", !answer || answer.ok === false);
}

/** @param {string} problem why there is no base map; empty: there is one */
function startBase(problem) {
  if (problem) map.base.fault = problem;
  else if (!map.base.started) {
    void map.base.start();
    map.ground.places.loadCountries().catch((error) => map.base.fail(String(error)));
  }
  const note = element("base-note");
  note.dataset.fault = String(map.base.fault !== "");
  note.textContent = map.base.fault || "Natural Earth, coast 1:10m, lakes 1:50m: for orientation only";
}

function showLight() {
  element("light").textContent = theme.light === "night" ? "Day" : "Night";
  buildLegend(element("legend-body"));
}

function showCard() {
  const track = tracks.get(selection.id);
  if (!track && selection.id !== null) showGone(element("details"));
  else showDetails(element("details"), tracks, track, track ? inquiry.of(track.id) : null, map.now);
}

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
  filter.show();
  table.refresh(now);
  showCard();
  showCounts();
  const notice = judge({
    link: feed.state,
    fault: feed.fault,
    openedFor: performance.now(),
    now: clock.now(),
    newestMs: tracks.newestMs,
    coreMs: tracks.coreMs,
    tracks: tracks.own,
    staleS: status?.status?.stale_after_s ?? STALE_S,
  });
  showNotice(element("notice"), notice);
  document.body.dataset.picture = notice?.level ?? "live"; // the map is dimmed unless it is live
}

function showCounts() {
  const now = map.now;
  let [coasting, stale] = [0, 0];
  for (const track of tracks) {
    if (track.foreign) stale += Number(track.isStale(now));
    else if (track.status === 2) coasting += 1;
  }
  const { own, size } = tracks;
  const parts = [[own - coasting, "confirmed"], [coasting, "coasting"], [tracks.tentative, "tentative (not shown)"]];
  if (tracks.nodes.length > 1) parts.push([size - own, `of partners${stale ? `, ${number(stale, 0)} of them stale` : ""}`]);
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
  o: () => filter.cycle(),
  d: () => theme.toggle(),
  1: () => tabs.open(TRACK),
  2: () => tabs.open(SENSORS),
  3: () => tabs.open(PARTNERS),
  4: () => tabs.open(NODE),
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
element("light").addEventListener("click", () => theme.toggle());

map.ground.places.loadTowns().catch((error) => console.error(error));
showLight();
showClock();
refresh();
setInterval(refresh, TEXT_MS);
