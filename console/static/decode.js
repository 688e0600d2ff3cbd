// @ts-check
// A feed message as typed arrays over its own bytes. The layout is that of console/feed.py.

export const VERSION = 2;
export const SNAPSHOT = 1;
export const DELTA = 2;
/** No position: the lat or lon of a head whose place is not known. */
export const NO_POSITION = -2147483648;

const HEADER_BYTES = 64;
const ALIGN = 8;

/**
 * @typedef {object} Heads
 * @property {number} count
 * @property {BigInt64Array} trackId
 * @property {Float64Array} valid ms since 1970 UTC
 * @property {Int32Array} lat 1e-7 degrees
 * @property {Int32Array} lon 1e-7 degrees
 * @property {Float32Array} height m HAE
 * @property {Float32Array} velocity count x 3, m/s east, north, up
 * @property {Float32Array} covariance count x 10, upper triangle of (E, N, vE, vN)
 * @property {Float32Array} existence
 * @property {Float32Array} life s from valid
 * @property {Float32Array} received s from valid
 * @property {Float32Array} sent s from valid
 * @property {Uint32Array} revision
 * @property {Uint16Array} giver index into nodes; 0: own
 * @property {Uint8Array} status
 * @property {Uint8Array} reason
 */
/**
 * @typedef {object} Labels
 * @property {number} count
 * @property {BigInt64Array} trackId
 * @property {Uint8Array} number count x 8, ASCII
 * @property {Uint8Array} identity count x 24, UTF-8
 * @property {Int16Array} sensors count x 8
 * @property {Uint16Array} giver
 * @property {Uint8Array} classification
 * @property {Uint8Array} classProbability percent
 * @property {Uint8Array} affiliation
 * @property {Uint8Array} identityKind
 * @property {Uint8Array} mode
 */
/** @typedef {{count: number, trackId: BigInt64Array, giver: Uint16Array}} Deleted */
/** @typedef {{node: string, agreement: string, path: string[]}} Giver */
/** @typedef {{node: string, sensors: string[], classes: string[], nodes: Giver[]}} Names */
/**
 * @typedef {object} FeedMessage
 * @property {number} kind
 * @property {number} sequence
 * @property {number} tentative
 * @property {number} serverMs
 * @property {number} newestMs of own tracks; 0: no track yet
 * @property {number} coreMs 0: not known
 * @property {Heads} heads
 * @property {Labels} labels
 * @property {Deleted} deleted
 * @property {Names | null} names
 */

/** Hands out columns one after another. */
class Columns {
  /** @param {ArrayBuffer} buffer */
  constructor(buffer) {
    this.buffer = buffer;
    this.place = HEADER_BYTES;
  }

  /**
   * @template T
   * @param {{new (buffer: ArrayBuffer, offset: number, length: number): T, BYTES_PER_ELEMENT: number}} Type
   * @param {number} length elements
   * @returns {T}
   */
  take(Type, length) {
    const column = new Type(this.buffer, this.place, length); // RangeError where cut short
    this.place += Math.ceil((length * Type.BYTES_PER_ELEMENT) / ALIGN) * ALIGN;
    return column;
  }
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {FeedMessage}
 * @throws {Error} if the bytes are no message of this version, or are cut short
 */
export function decode(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new Error(`feed: ${buffer.byteLength} bytes are less than a header`);
  const view = new DataView(buffer);
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  const version = view.getUint16(4, true);
  if (magic !== "VDTF" || version !== VERSION) throw new Error(`feed: ${magic} version ${version} is not VDTF ${VERSION}`);
  /** @param {number} offset */
  const milliseconds = (offset) => Number(view.getBigInt64(offset, true) / 1000n) / 1000;
  const columns = new Columns(buffer);
  const heads = readHeads(columns, view.getUint32(12, true));
  const labels = readLabels(columns, view.getUint32(16, true));
  const gone = view.getUint32(20, true);
  const deleted = { count: gone, trackId: columns.take(BigInt64Array, gone), giver: columns.take(Uint16Array, gone) };
  const text = columns.take(Uint8Array, view.getUint32(28, true));
  return {
    kind: view.getUint16(6, true),
    sequence: view.getUint32(8, true),
    tentative: view.getUint32(24, true),
    serverMs: milliseconds(32),
    newestMs: milliseconds(40),
    coreMs: milliseconds(48),
    heads,
    labels,
    deleted,
    names: text.length ? JSON.parse(new TextDecoder().decode(text)) : null,
  };
}

/** @param {Columns} columns @param {number} count @returns {Heads} */
function readHeads(columns, count) {
  return {
    count,
    trackId: columns.take(BigInt64Array, count),
    valid: columns.take(Float64Array, count),
    lat: columns.take(Int32Array, count),
    lon: columns.take(Int32Array, count),
    height: columns.take(Float32Array, count),
    velocity: columns.take(Float32Array, 3 * count),
    covariance: columns.take(Float32Array, 10 * count),
    existence: columns.take(Float32Array, count),
    life: columns.take(Float32Array, count),
    received: columns.take(Float32Array, count),
    sent: columns.take(Float32Array, count),
    revision: columns.take(Uint32Array, count),
    giver: columns.take(Uint16Array, count),
    status: columns.take(Uint8Array, count),
    reason: columns.take(Uint8Array, count),
  };
}

/** @param {Columns} columns @param {number} count @returns {Labels} */
function readLabels(columns, count) {
  return {
    count,
    trackId: columns.take(BigInt64Array, count),
    number: columns.take(Uint8Array, 8 * count),
    identity: columns.take(Uint8Array, 24 * count),
    sensors: columns.take(Int16Array, 8 * count),
    giver: columns.take(Uint16Array, count),
    classification: columns.take(Uint8Array, count),
    classProbability: columns.take(Uint8Array, count),
    affiliation: columns.take(Uint8Array, count),
    identityKind: columns.take(Uint8Array, count),
    mode: columns.take(Uint8Array, count),
  };
}

const utf8 = new TextDecoder();

/**
 * Text of one fixed-width field, without its zeros.
 * @param {Uint8Array} column @param {number} row @param {number} width
 */
export function fixedText(column, row, width) {
  const field = column.subarray(row * width, (row + 1) * width);
  const end = field.indexOf(0);
  return utf8.decode(end < 0 ? field : field.subarray(0, end));
}
