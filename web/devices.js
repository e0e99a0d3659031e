// What the page knows of each device. Pure; names are keys of Maps, so one called `__proto__` is a name like any other.

import { decimalsOf } from "./format.js";
import { Bands } from "./bands.js";

// A sparkline: up to ten minutes in steps of five seconds.
export const SPARK_STEP_MS = 5_000;
export const SPARK_STEPS = 120;

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** The order of names: that of people (room-2 before room-10), steady for names that differ only in case. */
export function compareNames(a, b) {
  return collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

export class Metric {
  value = undefined;
  at = 0;
  received_at = 0;
  unit = undefined;
  label = undefined;
  retained = false;
  // Most digits after the point seen so far: 21.5, then 21, is shown as 21.5 and 21.0, which does not jump.
  decimals = 0;
  // Means of the last minutes; null until the metric was a number.
  trend = null;

  constructor(name) {
    this.name = name;
  }

  get title() {
    if (this.label) return this.label;
    // Plain words get a capital; what looks like a code (tC, co2) stays as its device writes it.
    if (!/^[a-z][a-z_]+$/.test(this.name)) return this.name;
    return this.name[0].toUpperCase() + this.name.slice(1).replaceAll("_", " ");
  }

  set(value, at, received_at, retained) {
    this.value = value;
    this.at = at;
    this.received_at = received_at;
    this.retained = retained;
    if (typeof value === "number") this.decimals = Math.max(this.decimals, decimalsOf(value));
  }

  /** A value from the stream. One that was delayed on its way does not replace a newer one: the gateway's rule too. */
  read(value, at, received_at, retained) {
    if (this.value === undefined || at >= this.at || this.retained) this.set(value, at, received_at, retained);
    if (typeof value === "number" && !retained) this.startTrend().add(at, value);
  }

  startTrend() {
    this.trend ??= new Bands(SPARK_STEP_MS, { limit: SPARK_STEPS });
    return this.trend;
  }

  /** History from before the first live reading: `[middle of a bucket, bucket]`, in any order. */
  recall(buckets) {
    const trend = this.startTrend();
    const live_from = trend.first_x ?? Infinity;
    for (const [middle, bucket] of buckets) if (middle < live_from) trend.fold(middle, bucket);
  }

  describe({ unit, label }) {
    this.unit = unit ?? this.unit;
    this.label = label ?? this.label;
  }
}

export class Device {
  status = "unknown";
  since = undefined;
  label = undefined;
  model = undefined;
  metrics = new Map();
  // When something of it last arrived; undefined while all there is are retained messages.
  arrived_at = undefined;

  constructor(name) {
    this.name = name;
  }

  get title() {
    return this.label ?? this.name;
  }

  metric(name) {
    let metric = this.metrics.get(name);
    if (!metric) this.metrics.set(name, (metric = new Metric(name)));
    return metric;
  }

  /** What `latest`, a `device` event and `GET api/devices` have in common. */
  describe({ status, since, label, model, metrics }) {
    this.status = status ?? this.status;
    this.since = since ?? this.since;
    this.label = label ?? this.label;
    this.model = model ?? this.model;
    for (const [name, known] of Object.entries(metrics ?? {})) this.metric(name).describe(known);
  }

  /** One device of a snapshot. */
  know(known) {
    this.describe(known);
    for (const [name, entry] of Object.entries(known.values ?? {})) {
      const metric = this.metric(name);
      metric.describe(entry);
      const received_at = entry.received_at ?? entry.at;
      metric.set(entry.value, entry.at, received_at, entry.retained === true);
      if (!entry.retained) this.arrived_at = Math.max(this.arrived_at ?? 0, received_at);
    }
  }

  /** Buckets of the log, for the sparklines. */
  recall(buckets) {
    const byMetric = new Map();
    for (const { at, until, values } of buckets) {
      for (const [name, bucket] of Object.entries(values)) {
        if (!byMetric.has(name)) byMetric.set(name, []);
        byMetric.get(name).push([(at + until) / 2, bucket]);
      }
    }
    for (const [name, of] of byMetric) this.metrics.get(name)?.recall(of);
  }

  /** A reading from the stream. */
  read({ at, received_at = at, values, retained = false }) {
    for (const [name, value] of Object.entries(values)) this.metric(name).read(value, at, received_at, retained);
    if (!retained) this.arrived_at = Math.max(this.arrived_at ?? 0, received_at);
  }
}

export class Devices {
  #byName = new Map();

  get size() {
    return this.#byName.size;
  }

  get(name) {
    return this.#byName.get(name);
  }

  [Symbol.iterator]() {
    return this.#byName.values();
  }

  /** The device of this name, made when it is new. */
  meet(name) {
    let device = this.#byName.get(name);
    if (!device) this.#byName.set(name, (device = new Device(name)));
    return device;
  }

  /** A snapshot is all there is: what it lacks is forgotten. */
  replace(known) {
    const names = new Set(known.map(({ device }) => device));
    for (const name of this.#byName.keys()) if (!names.has(name)) this.#byName.delete(name);
    for (const one of known) this.meet(one.device).know(one);
  }
}
