// The points of one numeric metric over a long time: mean, lowest and highest of each of a bounded number of equal
// spans.
//
// History comes as buckets; live readings go on in the same spans, so a chart of a day does not fill with single
// points.

export class Bands {
  #columns = [];
  #limit;
  #span_ms;
  #origin;

  /** Readings older than the oldest span kept. */
  dropped_total = 0;

  /** `origin` is any moment where a span begins. */
  constructor(span_ms, { limit = 600, origin = 0 } = {}) {
    this.#span_ms = span_ms;
    this.#limit = limit;
    this.#origin = origin;
  }

  get length() {
    return this.#columns.length;
  }

  /** Where the oldest span kept begins. */
  get first_x() {
    return this.#columns[0]?.x;
  }

  /** What a chart draws: x (the middle of each span), mean, lowest, highest. */
  get columns() {
    const rows = this.#columns;
    const half = this.#span_ms / 2;
    return [
      Float64Array.from(rows, (row) => row.x + half),
      Float64Array.from(rows, (row) => row.mean),
      Float64Array.from(rows, (row) => row.min),
      Float64Array.from(rows, (row) => row.max),
    ];
  }

  /** A bucket of the history. */
  fold(at, { min, mean, max, count }) {
    const row = this.#at(at);
    if (!row) return;
    row.min = Math.min(row.min, min);
    row.max = Math.max(row.max, max);
    // Rounding must not put the mean of equal values outside of them.
    const exact = (row.mean * row.count + mean * count) / (row.count + count);
    row.mean = Math.min(row.max, Math.max(row.min, exact));
    row.count += count;
  }

  /** One reading. */
  add(at, value) {
    this.fold(at, { min: value, mean: value, max: value, count: 1 });
  }

  #at(time) {
    const x = this.#origin + Math.floor((time - this.#origin) / this.#span_ms) * this.#span_ms;
    const rows = this.#columns;
    let place = rows.length;
    while (place > 0 && rows[place - 1].x > x) place -= 1;
    if (place > 0 && rows[place - 1].x === x) return rows[place - 1];
    if (rows.length >= this.#limit) {
      if (place === 0) {
        this.dropped_total += 1;
        return undefined;
      }
      rows.shift();
      place -= 1;
    }
    const row = { x, mean: 0, min: Infinity, max: -Infinity, count: 0 };
    rows.splice(place, 0, row);
    return row;
  }
}
