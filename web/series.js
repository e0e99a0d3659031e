// The points of one numeric metric, x ascending, in two typed arrays of bounded size.
//
// A chart wants contiguous arrays, so this is a window that slides over arrays of twice its limit: adding is one
// store, and only when the end is reached is the window copied back to the front. A reading whose device time is
// older than the newest one is inserted where it belongs; one that is older than everything in a full window is
// dropped and counted.

const FIRST_CAPACITY = 512;

export class Series {
  #x = new Float64Array(FIRST_CAPACITY);
  #y = new Float64Array(FIRST_CAPACITY);
  #start = 0;
  #end = 0;
  #limit;

  /** Points that came too late for a full window. */
  dropped_total = 0;

  // 20,000 points: 15 minutes at 20 readings a second; the arrays of one metric then take 640 KB.
  constructor(limit = 20_000) {
    this.#limit = limit;
  }

  get length() {
    return this.#end - this.#start;
  }

  /** What a chart draws: views, valid until the next `add`. */
  get columns() {
    return [this.#x.subarray(this.#start, this.#end), this.#y.subarray(this.#start, this.#end)];
  }

  get first_x() {
    return this.length ? this.#x[this.#start] : undefined;
  }

  add(x, y) {
    if (this.length === this.#limit) {
      if (x < this.#x[this.#start]) {
        this.dropped_total += 1;
        return;
      }
      this.#start += 1;
    }
    if (this.#end === this.#x.length) this.#makeRoom();
    let place = this.#end;
    while (place > this.#start && this.#x[place - 1] > x) place -= 1;
    this.#x.copyWithin(place + 1, place, this.#end);
    this.#y.copyWithin(place + 1, place, this.#end);
    this.#x[place] = x;
    this.#y[place] = y;
    this.#end += 1;
  }

  #makeRoom() {
    const grown = Math.min(2 * this.#limit, 2 * this.#x.length);
    const [x, y] = this.columns;
    if (grown > this.#x.length) {
      this.#x = new Float64Array(grown);
      this.#y = new Float64Array(grown);
    }
    this.#x.set(x);
    this.#y.set(y);
    this.#end -= this.#start;
    this.#start = 0;
  }
}
