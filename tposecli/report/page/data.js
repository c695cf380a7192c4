// The data of the page: a JSON head, and columns that columns.py packed.

/** @typedef {{id: number, start: number, end: number}} Track */
/**
 * @typedef {object} Poses
 * @property {Float64Array} time Seconds of each frame.
 * @property {Int32Array} index Number of each frame in its source.
 * @property {Uint32Array} frame Frame of each row.
 * @property {Uint16Array[]} box Four columns of steps.
 * @property {Uint8Array} boxScore
 * @property {Uint8Array} measured
 * @property {Uint16Array[]} xy Two columns of steps for each joint: smoothed.
 * @property {Uint16Array[]} raw The same, as measured.
 * @property {Uint8Array[]} score A column for each joint, 0 to 255.
 * @property {Uint8Array[]} flags A column for each joint.
 * @property {Int32Array} track Id of each row.
 * @property {Uint32Array} first Where the rows of each frame begin in `order`.
 * @property {Uint32Array} order Rows by frame.
 */

const FILLED = 1, REPAIRED = 2, OUTLIER = 4, CORRECTED = 8;
const SURE = 0.2;

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

const HEAD = JSON.parse($("head").textContent);
const JOINTS = HEAD.layout.keypoint_names.length;
const SHIFT = 0.25 * Math.max(HEAD.size[0], HEAD.size[1]);

/** Return the bytes of a block of the page, and forget its text. @param {string} id @returns {Uint8Array | null} */
function bytesOf(id) {
  const element = $(`data-${id}`);
  if (!element) return null;
  const text = element.textContent;
  element.remove();
  // @ts-ignore: newer than the library's types.
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
async function inflate(bytes) {
  // @ts-ignore: a view of a plain buffer.
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Reads columns one after the other. */
class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) { this.bytes = bytes; this.at = 0; }

  /** @param {number} count */
  take(count) { return this.bytes.subarray(this.at, (this.at += count)); }

  /** Differences of whole numbers, summed up. @param {number} count @returns {Float64Array} */
  sums(count) {
    const [a, b, c, d] = [0, 0, 0, 0].map(() => this.take(count));
    const out = new Float64Array(count);
    for (let i = 0, sum = 0; i < count; i++) {
      const z = (a[i] | (b[i] << 8) | (c[i] << 16) | (d[i] << 24)) >>> 0;
      out[i] = sum += (z >>> 1) ^ -(z & 1);
    }
    return out;
  }

  /** A column of steps, each beside the straight continuation of the two before. @param {number} count */
  bent(count) {
    const low = this.take(count), high = this.take(count), out = new Uint16Array(count);
    for (let i = 0; i < count; i++) {
      const z = low[i] | (high[i] << 8), off = (z >>> 1) ^ -(z & 1);
      out[i] = off + (i > 1 ? 2 * out[i - 1] - out[i - 2] : i ? out[0] : 0);
    }
    return out;
  }

  /** A column of steps relative to another one. @param {Uint16Array} base */
  beside(base) {
    const count = base.length, low = this.take(count), high = this.take(count), out = new Uint16Array(count);
    for (let i = 0; i < count; i++) {
      const z = low[i] | (high[i] << 8);
      out[i] = base[i] + ((z >>> 1) ^ -(z & 1));
    }
    return out;
  }

  /** A column of bytes, summed up. @param {number} count */
  bytesSummed(count) {
    const out = new Uint8Array(count), part = this.take(count);
    for (let i = 0, sum = 0; i < count; i++) out[i] = sum = (sum + part[i]) & 255;
    return out;
  }
}

/** @param {Uint8Array} bytes @returns {Poses} */
function readPoses(bytes) {
  const reader = new Reader(bytes), F = HEAD.frames, R = HEAD.rows;
  /** @param {number} n @param {(i: number) => any} make */
  const many = (n, make) => Array.from({length: n}, (_, i) => make(i));
  const time = reader.sums(F).map((ticks) => HEAD.start_s + (ticks * HEAD.tick_ns) / 1e9);
  const index = Int32Array.from(reader.sums(F)), frame = Uint32Array.from(reader.sums(R));
  const box = many(4, () => reader.bent(R));
  const boxScore = reader.take(R), measured = reader.take(R);
  const xy = many(2 * JOINTS, () => reader.bent(R));
  const score = many(JOINTS, () => reader.bytesSummed(R));
  const flags = many(JOINTS, () => reader.take(R));
  const raw = HEAD.smoothed ? xy.map((base) => reader.beside(base)) : xy;
  const track = new Int32Array(R);
  for (const {id, start, end} of HEAD.tracks) track.fill(id, start, end);
  const first = new Uint32Array(F + 1);
  for (let row = 0; row < R; row++) first[frame[row] + 1]++;
  for (let i = 0; i < F; i++) first[i + 1] += first[i];
  const next = first.slice(), order = new Uint32Array(R);
  for (let row = 0; row < R; row++) order[next[frame[row]]++] = row;
  return {time, index, frame, box, boxScore, measured, xy, raw, score, flags, track, first, order};
}

/** @type {Poses} */
let P;

/** Pixels of a step. @param {number} step */
const px = (step) => step * HEAD.unit - SHIFT;
/** @param {number} row @param {number} joint @param {boolean} raw @returns {[number, number]} */
const jointAt = (row, joint, raw) => {
  const from = raw ? P.raw : P.xy;
  return [px(from[2 * joint][row]), px(from[2 * joint + 1][row])];
};
/** @param {number} row @returns {[number, number, number, number]} */
const boxAt = (row) => [px(P.box[0][row]), px(P.box[1][row]), px(P.box[2][row]), px(P.box[3][row])];
/** @param {number} row */
const meanScore = (row) => {
  let sum = 0;
  for (let joint = 0; joint < JOINTS; joint++) sum += P.score[joint][row];
  return sum / JOINTS / 255;
};
/** Rows of a frame. @param {number} frame */
const rowsOf = (frame) => P.order.subarray(P.first[frame], P.first[frame + 1]);
/** The row of a track in a frame, or -1. @param {number} frame @param {number | null} id */
const rowOf = (frame, id) => {
  for (const row of rowsOf(frame)) if (P.track[row] === id) return row;
  return -1;
};
/** The last frame that begins at or before a time. @param {number} seconds */
function frameAt(seconds) {
  let low = 0, high = P.time.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (P.time[middle] <= seconds) low = middle; else high = middle - 1;
  }
  return low;
}
/** The frame nearest to a time. @param {number} seconds */
function nearestFrame(seconds) {
  const frame = frameAt(seconds), next = Math.min(frame + 1, P.time.length - 1);
  return Math.abs(P.time[next] - seconds) < Math.abs(P.time[frame] - seconds) ? next : frame;
}
/** @param {number} joint */
const wordsOf = (joint) => HEAD.layout.keypoint_names[joint].replace(/_/g, " ");
/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;
/** @param {number} seconds */
function clockText(seconds) {
  const sign = seconds < 0 ? "-" : "", all = Math.abs(seconds), minutes = Math.floor(all / 60);
  const rest = (all - 60 * minutes).toFixed(2);
  if (!minutes) return `${sign}${rest} s`;
  const hours = Math.floor(minutes / 60), padded = rest.padStart(5, "0");
  return hours ? `${sign}${hours}:${String(minutes % 60).padStart(2, "0")}:${padded}` : `${sign}${minutes}:${padded}`;
}

/** What was done to a joint, in words. @param {number} row @param {number} joint @returns {string[]} */
const doneTo = (row, joint) => {
  const flags = P.flags[joint][row];
  return [flags & CORRECTED ? "corrected by hand" : "", flags & FILLED ? "filled in" : "", flags & REPAIRED ? "exchanged with its counterpart and put right" : "", flags & OUTLIER ? "left out as an outlier" : ""].filter(Boolean);
};
