// One device's readings over a range of time: history first, then live, without a hole and without a double point.
//
// While the history is under way live readings are kept; the answer carries a position, so those up to it are dropped
// and the rest are added. The stream may be behind the history (it began at an older snapshot and replays), so what
// comes later is held against the same position. Long ranges come as buckets and go on as bands of the same width.

import { Bands } from "./bands.js";
import { Changes } from "./changes.js";
import { Series } from "./series.js";

const MINUTE = 60_000;
// A chart of less would show noise.
const LEAST_SPAN_MS = MINUTE;
const HOUR = 60 * MINUTE;
const POINT_LIMIT = 20_000;
const BUCKETS = 600;

/** The ranges to choose from; `buckets` where single readings would be more than a screen has pixels. */
export const RANGES = [
  { key: "5m", title: "5 min", span_ms: 5 * MINUTE },
  { key: "15m", title: "15 min", span_ms: 15 * MINUTE },
  { key: "1h", title: "1 h", span_ms: HOUR, buckets: BUCKETS },
  { key: "6h", title: "6 h", span_ms: 6 * HOUR, buckets: BUCKETS },
  { key: "24h", title: "24 h", span_ms: 24 * HOUR, buckets: BUCKETS },
];

// Readings kept while the history is under way.
const KEPT_LIMIT = 5_000;
const RETRY_MS = 2_000;
// Less than this is the network, not a wrong clock.
const SKEW_MS = 30_000;

export class History {
  #device;
  #getReadings;
  #changed;
  #kept = [];
  #overrun = false;
  #loading = new AbortController();
  // The two answers of a long range have a position each: numbers are held by the first, the rest by the second.
  #numbers_from = 0;
  #changes_from = 0;
  // Of the history's buckets, once there were any: live readings go on in the same spans.
  #bucket_origin = 0;
  #bucket_span_ms;

  range;
  /** Metric name to Series or Bands. */
  numbers = new Map();
  /** Metric name to Changes. */
  changes = new Map();
  /** `loading`, `live`, `failed` (and trying again) or `absent` (nothing is known of the device). */
  state = "loading";
  /** False when the log does not hold the whole range. */
  complete = true;
  /** How far the device's own clock is behind ours; 0 when it has none or a right one. */
  skew_ms = 0;
  /** Readings left out because the broker had kept them: nobody knows when they were measured. */
  retained_total = 0;

  /** `changed()` is called when there is something new to draw. */
  constructor(device, range, getReadings, changed) {
    this.#device = device;
    this.range = range;
    this.#getReadings = getReadings;
    this.#changed = changed;
  }

  /** Loads everything anew; `textual` names the metrics that are no numbers, which buckets leave out. */
  async load(textual = []) {
    this.#loading.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    this.state = "loading";
    this.#kept = [];
    this.#overrun = false;
    this.#changed();
    try {
      const answers = await this.#ask(textual, signal);
      if (!signal.aborted) this.#begin(answers, textual);
    } catch (error) {
      if (signal.aborted) return;
      console.warn("no history:", error);
      this.state = "failed";
      this.#changed();
      setTimeout(() => signal.aborted || this.load(textual), RETRY_MS * (0.5 + Math.random()));
    }
  }

  stop() {
    this.#loading.abort();
  }

  /** Where the charts begin: at the first reading, when the range begins before it, so that they are full. */
  from(to) {
    const first = Math.min(...[...this.numbers.values()].map((points) => points.first_x ?? Infinity));
    return Math.max(to - this.range.span_ms, Math.min(first, to - LEAST_SPAN_MS));
  }

  /** A reading from the stream. */
  take(reading, position) {
    if (this.state === "live" || this.state === "absent") {
      this.state = "live";
      this.#addLive(reading, position);
      this.#changed();
      return;
    }
    this.#kept.push([position, reading]);
    if (this.#kept.length > KEPT_LIMIT) {
      this.#kept = [];
      this.#overrun = true;
    }
  }

  #ask(textual, signal) {
    const { key, buckets } = this.range;
    const ask = (parameters) => this.#getReadings(this.#device, [["since", key], ...parameters], signal);
    if (!buckets) return Promise.all([ask([["limit", POINT_LIMIT]])]);
    const asked = [ask([["buckets", buckets]])];
    if (textual.length) asked.push(ask([["limit", 2_000], ...textual.map((name) => ["metric", name])]));
    return Promise.all(asked);
  }

  #begin([main, textual], names) {
    if (this.#overrun) {
      this.load(names);
      return;
    }
    this.numbers = new Map();
    this.changes = new Map();
    this.retained_total = 0;
    this.#bucket_span_ms = undefined;
    this.state = main ? "live" : "absent";
    this.complete = main?.complete ?? true;
    for (const bucket of main?.buckets ?? []) this.#addBucket(bucket);
    for (const reading of main?.readings ?? textual?.readings ?? []) this.#add(reading);
    this.#numbers_from = main?.position ?? 0;
    this.#changes_from = textual?.position ?? this.#numbers_from;
    this.#addKept();
    this.#changed();
  }

  #addKept() {
    const kept = this.#kept;
    this.#kept = [];
    if (kept.length) this.state = "live";
    for (const [position, reading] of kept) this.#addLive(reading, position);
  }

  #addLive(reading, position) {
    const numbers = position > this.#numbers_from;
    const changes = position > this.#changes_from;
    if (numbers || changes) this.#add(reading, numbers, changes);
  }

  #addBucket({ at, until, values }) {
    this.#bucket_origin = at;
    this.#bucket_span_ms = until - at;
    for (const [name, bucket] of Object.entries(values)) this.#number(name).fold(at, bucket);
  }

  #add({ at, received_at = at, values, retained }, numbers = true, changes = true) {
    if (retained) {
      this.retained_total += 1;
      return;
    }
    this.skew_ms = Math.abs(received_at - at) > SKEW_MS ? received_at - at : 0;
    for (const [name, value] of Object.entries(values)) {
      if (typeof value === "number") {
        if (numbers) this.#number(name).add(at, value);
      } else if (changes) {
        this.#changesOf(name).add(at, value);
      }
    }
  }

  #number(name) {
    let points = this.numbers.get(name);
    if (!points) {
      const span_ms = this.#bucket_span_ms ?? this.range.span_ms / BUCKETS;
      points = this.range.buckets
        ? new Bands(span_ms, { limit: BUCKETS + 1, origin: this.#bucket_origin })
        : new Series(POINT_LIMIT);
      this.numbers.set(name, points);
    }
    return points;
  }

  #changesOf(name) {
    let changes = this.changes.get(name);
    if (!changes) this.changes.set(name, (changes = new Changes()));
    return changes;
  }
}
