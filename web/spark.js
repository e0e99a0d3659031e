// A sparkline: the shape of the last minutes, in one SVG path. No axis, no numbers; the value stands beside it.

import { svg } from "./element.js";

const WIDTH = 100;
const HEIGHT = 28;
const MARGIN = 3;

/** The path of ascending points over `span_ms` up to `now_ms`; empty for fewer than two. */
export function sparkPath(xs, ys, now_ms, span_ms) {
  const from = now_ms - span_ms;
  let first = 0;
  while (first < xs.length && xs[first] < from) first += 1;
  if (xs.length - first < 2) return "";
  let low = Infinity;
  let high = -Infinity;
  for (let i = first; i < ys.length; i += 1) {
    low = Math.min(low, ys[i]);
    high = Math.max(high, ys[i]);
  }
  // What hardly moves is drawn as hardly moving: at least 1 % of the value from top to bottom.
  const range = Math.max(high - low, Math.max(Math.abs(low), Math.abs(high)) * 0.01, 1e-9);
  const base = (low + high - range) / 2;
  const steps = [];
  for (let i = first; i < xs.length; i += 1) {
    const x = Math.min(WIDTH, ((xs[i] - from) / span_ms) * WIDTH);
    const y = HEIGHT - MARGIN - ((ys[i] - base) / range) * (HEIGHT - 2 * MARGIN);
    steps.push(`${x.toFixed(1)} ${y.toFixed(1)}`);
  }
  return `M${steps.join("L")}`;
}

export class Spark {
  #path = svg("path", { "vector-effect": "non-scaling-stroke" });
  #drawn = "";

  node = svg(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    this.#path,
  );

  draw(xs, ys, now_ms, span_ms) {
    const path = sparkPath(xs, ys, now_ms, span_ms);
    if (path === this.#drawn) return;
    this.#drawn = path;
    this.#path.setAttribute("d", path);
  }
}
