// @ts-check
// The tracks that the page holds, and where each is now.

import { NO_POSITION, SNAPSHOT, fixedText } from "./decode.js";
import { mercatorX, mercatorY, unitsPerMetre } from "./geo.js";
import { Trail } from "./trail.js";

/** Seconds that a track may be moved on without news where the feed gives no end. */
const LIFE_S = 10;
/** A corrected head is approached within so many ms instead of jumping. */
const BLEND_MS = 400;
/** Longest way that is blended, world units (4 km at the equator): farther is another place. */
const BLEND_UNITS = 1e-4;

export const STATUS = ["tentative", "confirmed", "coasting", "deleted"];
export const REASON = ["detected", "missed", "coasted", "confirmed", "lost", "corrected", "retracted", "withdrawn", "doubted", "cleared"];
export const AFFILIATION = ["unknown", "own", "friend", "neutral", "suspect"];
export const IDENTITY = ["", "ICAO 24", "MMSI", "MAVLink", "Remote ID"];

/** A track's name on the page: two nodes may number alike. @param {number} giver @param {bigint} id */
const keyOf = (giver, id) => (giver ? `${giver}:${id}` : `${id}`);

export class Track {
  /** @param {string} id name on the page @param {string} trackId the giver's own @param {number} giver */
  constructor(id, trackId = id, giver = 0) {
    this.id = id;
    this.trackId = trackId;
    /** Index into the nodes; 0: own. */
    this.giver = giver;
    this.number = "";
    this.classification = "unknown";
    this.classProbability = 0;
    this.affiliation = 0;
    this.identity = "";
    /** @type {number[]} */
    this.sensors = [];
    this.exercise = false;
    this.placed = false;
    this.lat = NaN;
    this.lon = NaN;
    this.x = NaN;
    this.y = NaN;
    /** World units per metre, east and north. @type {[number, number]} */
    this.scale = [0, 0];
    this.valid = 0;
    this.height = NaN;
    this.east = NaN;
    this.north = NaN;
    this.up = NaN;
    this.covariance = new Float32Array(10);
    this.existence = NaN;
    this.staleAt = 0;
    /** When this node knew the head, and when its giver sent it, ms; NaN: not known. */
    this.receivedAt = NaN;
    this.sentAt = NaN;
    this.revision = 0;
    this.status = 1;
    this.reason = 0;
    this.trail = new Trail();
    this.blendX = 0;
    this.blendY = 0;
    this.blendFrom = 0;
  }

  get foreign() {
    return this.giver > 0;
  }

  get speed() {
    return Math.hypot(this.east, this.north);
  }

  /** Degrees from true north, clockwise; NaN: stands still or not known. */
  get course() {
    return this.speed > 0 ? (Math.atan2(this.east, this.north) * (180 / Math.PI) + 360) % 360 : NaN;
  }

  /** One standard deviation of the speed, m/s; NaN: not known. */
  get speedSigma() {
    const [vee, ven, vnn] = this.velocitySpread;
    const { speed, east, north } = this;
    if (!(speed > 0)) return Math.sqrt(Math.max(0, (vee + vnn) / 2));
    return Math.sqrt(Math.max(0, (east * east * vee + 2 * east * north * ven + north * north * vnn) / (speed * speed)));
  }

  /** One standard deviation of the course, degrees, to first order; NaN: not known, or it stands still. */
  get courseSigma() {
    const [vee, ven, vnn] = this.velocitySpread;
    const { speed, east, north } = this;
    if (!(speed > 0)) return NaN;
    const across = (north * north * vee - 2 * east * north * ven + east * east * vnn) / (speed * speed);
    return (Math.sqrt(Math.max(0, across)) / speed) * (180 / Math.PI);
  }

  /** Covariance of the velocity: EE, EN, NN in m²/s². */
  get velocitySpread() {
    return [this.covariance[7], this.covariance[8], this.covariance[9]];
  }

  /** @param {number} now ms */
  isStale(now) {
    return now > this.staleAt;
  }

  /** Seconds since the state was valid. @param {number} now ms */
  age(now) {
    return (now - this.valid) / 1000;
  }

  /** Seconds that it is moved on from its head: until it goes stale, never longer. @param {number} now ms */
  ahead(now) {
    return (Math.min(now, this.staleAt) - this.valid) / 1000;
  }

  /** Where it is now: world units. @param {number} now ms @returns {[number, number]} */
  at(now) {
    const dt = this.ahead(now);
    let x = this.x + (this.east || 0) * dt * this.scale[0];
    let y = this.y - (this.north || 0) * dt * this.scale[1];
    const left = 1 - (now - this.blendFrom) / BLEND_MS;
    if (left > 0 && left <= 1) {
      x += this.blendX * left;
      y += this.blendY * left;
    }
    return [x, y];
  }

  /** Position covariance now, moved on like the position: EE, EN, NN in m². @param {number} now ms */
  spread(now) {
    const dt = Math.max(0, this.ahead(now));
    const [ee, en, eve, evn, nn, nve, nvn, veve, vevn, vnvn] = this.covariance;
    /** @param {number} value */
    const known = (value) => (Number.isFinite(value) ? value : 0);
    return [
      ee + dt * 2 * known(eve) + dt * dt * known(veve),
      en + dt * (known(evn) + known(nve)) + dt * dt * known(vevn),
      nn + dt * 2 * known(nvn) + dt * dt * known(vnvn),
    ];
  }
}

export class Tracks {
  constructor() {
    /** @type {Map<string, Track>} */
    this.byId = new Map();
    /** Who gives tracks; the first is this node. @type {import("./decode.js").Giver[]} */
    this.nodes = [];
    /** @type {string[]} */
    this.sensors = [];
    /** @type {string[]} */
    this.classes = [];
    this.node = "";
    this.tentative = 0;
    this.newestMs = 0;
    this.coreMs = 0;
  }

  get size() {
    return this.byId.size;
  }

  [Symbol.iterator]() {
    return this.byId.values();
  }

  /** @param {string | null} id */
  get(id) {
    return id === null ? undefined : this.byId.get(id);
  }

  /** Who gave a track. @param {Track} track @returns {import("./decode.js").Giver} */
  giver(track) {
    return this.nodes[track.giver] ?? { node: track.giver ? `#${track.giver}` : this.node, agreement: "", path: [] };
  }

  /** The name of the node whose track it is. @param {Track} track */
  nodeOf(track) {
    return this.giver(track).node;
  }

  /** How many are the node's own. */
  get own() {
    let count = 0;
    for (const track of this) if (!track.foreign) count += 1;
    return count;
  }

  /** @param {Track} track */
  sensorNames(track) {
    return track.sensors.map((index) => this.sensors[index] ?? `#${index}`);
  }

  /**
   * Take in a message.
   * @param {import("./decode.js").FeedMessage} message
   * @param {number} now server's time, ms
   */
  apply(message, now) {
    if (message.names) {
      ({ node: this.node, sensors: this.sensors, classes: this.classes, nodes: this.nodes } = message.names);
    }
    this.tentative = message.tentative;
    this.newestMs = message.newestMs;
    this.coreMs = message.coreMs;
    if (message.kind === SNAPSHOT) this.keepOnly(message.heads);
    const { count, trackId, giver } = message.deleted;
    for (let row = 0; row < count; row += 1) this.byId.delete(keyOf(giver[row], trackId[row]));
    for (let row = 0; row < message.heads.count; row += 1) this.setHead(message.heads, row, now);
    for (let row = 0; row < message.labels.count; row += 1) this.setLabel(message.labels, row);
  }

  /** A snapshot replaces everything; trails of tracks that are still there live on. @param {import("./decode.js").Heads} heads */
  keepOnly(heads) {
    const wanted = new Set();
    for (let row = 0; row < heads.count; row += 1) wanted.add(keyOf(heads.giver[row], heads.trackId[row]));
    for (const id of this.byId.keys()) if (!wanted.has(id)) this.byId.delete(id);
  }

  /** @param {import("./decode.js").Heads} heads @param {number} row @param {number} now */
  setHead(heads, row, now) {
    const giver = heads.giver[row];
    const id = keyOf(giver, heads.trackId[row]);
    let track = this.byId.get(id);
    const before = track?.placed ? track.at(now) : null;
    if (!track) this.byId.set(id, (track = new Track(id, String(heads.trackId[row]), giver)));
    track.placed = heads.lat[row] !== NO_POSITION;
    track.valid = heads.valid[row];
    if (track.placed) {
      track.lat = heads.lat[row] * 1e-7;
      track.lon = heads.lon[row] * 1e-7;
      track.x = mercatorX(track.lon);
      track.y = mercatorY(track.lat);
      track.scale = unitsPerMetre(track.lat);
      track.trail.push(track.valid, track.x, track.y);
    }
    track.height = heads.height[row];
    [track.east, track.north, track.up] = heads.velocity.subarray(3 * row, 3 * row + 3);
    track.covariance.set(heads.covariance.subarray(10 * row, 10 * row + 10));
    track.existence = heads.existence[row];
    const life = heads.life[row];
    track.staleAt = track.valid + 1000 * (Number.isFinite(life) ? life : LIFE_S);
    track.receivedAt = track.valid + 1000 * heads.received[row];
    track.sentAt = track.valid + 1000 * heads.sent[row];
    track.revision = heads.revision[row];
    track.status = heads.status[row];
    track.reason = heads.reason[row];
    track.blendFrom = 0;
    if (before && track.placed) {
      const [x, y] = track.at(now);
      track.blendX = before[0] - x;
      track.blendY = before[1] - y;
      if (Math.hypot(track.blendX, track.blendY) < BLEND_UNITS) track.blendFrom = now;
    }
  }

  /** @param {import("./decode.js").Labels} labels @param {number} row */
  setLabel(labels, row) {
    const track = this.byId.get(keyOf(labels.giver[row], labels.trackId[row]));
    if (!track) return;
    track.number = fixedText(labels.number, row, 8);
    const kind = IDENTITY[labels.identityKind[row]] ?? "";
    track.identity = kind && `${kind} ${fixedText(labels.identity, row, 24)}`;
    track.sensors = Array.from(labels.sensors.subarray(8 * row, 8 * row + 8)).filter((index) => index >= 0);
    track.classification = this.classes[labels.classification[row]] ?? "unknown";
    track.classProbability = labels.classProbability[row];
    track.affiliation = labels.affiliation[row];
    track.exercise = labels.mode[row] === 1;
  }
}
