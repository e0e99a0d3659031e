// The gaps this page was told of: each a span of time whose entries are not to be had.
//
// The wire tells a gap by positions, and a position is no time; so a gap begins at the last reading before it and
// ends at the first one after it. Pure.

import { formatClock } from "./format.js";

// A gap a day for three weeks; the oldest is forgotten first.
const LIMIT = 20;

/** The words for each reason of a gap; `tests/web/words.test.mjs` holds it to the gateway's own list. */
export const REASONS = new Map([
  ["expired", "expired"],
  ["corrupt", "a damaged part of the log was set aside"],
  ["lost", "the newest entries did not survive a power cut"],
  ["ahead", "the gateway's log is a new one"],
]);

export class Gaps {
  #spans = [];

  get spans() {
    return this.#spans;
  }

  /** A gap was told; `last_ms` is when the last reading before it arrived, `now_ms` stands in for the one after it. */
  open(reason, last_ms, now_ms) {
    const open = this.#spans.at(-1);
    if (open && !open.ended) {
      Object.assign(open, { to: now_ms, reason, dismissed: false });
      return open;
    }
    const span = { from: last_ms ?? now_ms, to: now_ms, ended: false, reason, dismissed: false };
    this.#spans.push(span);
    if (this.#spans.length > LIMIT) this.#spans.shift();
    return span;
  }

  /** The first reading after the gap arrived. */
  end(arrived_ms) {
    const span = this.#spans.at(-1);
    if (!span || span.ended) return;
    span.to = Math.max(arrived_ms, span.from);
    span.ended = true;
  }
}

/** The sentence of a notice. */
export function gapSentence(span, now_ms = Date.now()) {
  const why = REASONS.get(span.reason) ?? span.reason;
  return `${formatClock(span.from, now_ms)} to ${formatClock(span.to, now_ms)} is gone: ${why}`;
}

/** The gaps between `columns`' points as uPlot wants them: pixel spans where no line is drawn. */
export function holes(spans, xs, pixelOf) {
  const found = [];
  for (const { from, to } of spans) {
    const after = firstAfter(xs, from);
    // Points inside the gap were not lost after all (another stream of the log held them): draw what there is.
    if (after === 0 || after === xs.length || xs[after] < to) continue;
    found.push([pixelOf(xs[after - 1]), pixelOf(xs[after])]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}

/** The index of the first of ascending `xs` that is greater than `x`. */
export function firstAfter(xs, x) {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] > x) high = middle;
    else low = middle + 1;
  }
  return low;
}
