// One metric's chart: a thin layer over uPlot, which draws a line, and for long ranges the band between lowest and
// highest.

import uPlot from "./vendor/uPlot.esm.js";
import { decimalsOf, formatClock, formatNumber, formatSpan } from "./format.js";
import { holes } from "./gaps.js";

const HEIGHT = 200;
const MINUTE = 60_000;

// Colours are the stylesheet's, read when drawing, so that a change between light and dark needs no new chart.
function colour(node, name) {
  return getComputedStyle(node).getPropertyValue(name).trim();
}

// A value that hardly moves must not look dramatic: the axis spans at least 1 % of it.
function valueRange(_chart, low, high) {
  if (low === null || high === null) return [0, 1];
  const least = Math.max(Math.abs(low), Math.abs(high)) * 0.01 || 1;
  const pad = Math.max((high - low) * 0.12, (least - (high - low)) / 2);
  // Nothing below zero was measured, so the axis does not suggest it.
  return [low >= 0 ? Math.max(0, low - pad) : low - pad, high + pad];
}

// Seconds only where ticks are less than a minute apart, and no label that the right edge would cut.
function timeTicks(chart, splits) {
  const digits = splits[1] - splits[0] < MINUTE ? 8 : 5;
  const right = chart.bbox.width / devicePixelRatio - digits * 3.5;
  return splits.map((split) => (chart.valToPos(split, "x") > right ? "" : formatClock(split, split).slice(0, digits)));
}

export class Chart {
  #plot;
  #node;
  #observer;
  #gaps = [];
  #width = 0;

  /** `hover(index)` is told the point under the pointer, or null. */
  constructor(node, { banded, hover }) {
    this.#node = node;
    this.#width = node.clientWidth;
    this.#plot = new uPlot(this.#options(banded, hover), banded ? [[], [], [], []] : [[], []], node);
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(node);
  }

  /** Draws `columns` over the time from `from` to `to`, with holes where entries are gone. */
  draw(columns, from, to, gaps) {
    this.#gaps = gaps;
    this.#plot.batch(() => {
      this.#plot.setData(columns, false);
      this.#plot.setScale("x", { min: from, max: to });
    });
  }

  recolour() {
    this.#plot.redraw(false, true);
  }

  destroy() {
    this.#observer.disconnect();
    this.#plot.destroy();
  }

  #resize() {
    const width = this.#node.clientWidth;
    if (!width || width === this.#width) return;
    this.#width = width;
    this.#plot.setSize({ width, height: HEIGHT });
  }

  #options(banded, hover) {
    const line = () => colour(this.#node, "--line");
    // The colours of lines are #rrggbb; two more digits make the area below translucent.
    const fill = () => `${line()}24`;
    const cut = (plot, _series, _from, _to) => holes(this.#gaps, plot.data[0], (x) => plot.valToPos(x, "x", true));
    const edge = { stroke: "transparent", width: 0, points: { show: false }, gaps: cut };
    const series = [
      {},
      { stroke: line, fill: banded ? undefined : fill, width: 1.75, gaps: cut, points: { size: 5, fill: line } },
    ];
    if (banded) series.push(edge, { ...edge });
    return {
      width: this.#width,
      height: HEIGHT,
      ms: 1,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      // Dragging would zoom into a window that moves on; the ranges are buttons.
      cursor: { drag: { x: false, y: false }, y: false, points: { size: 8 }, sync: { key: "device" } },
      scales: { x: { time: true }, y: { range: valueRange } },
      axes: this.#axes(),
      series,
      bands: banded ? [{ series: [3, 2], fill }] : [],
      hooks: { setCursor: [(plot) => hover(plot.cursor.idx ?? null)], drawClear: [(plot) => this.#shade(plot)] },
    };
  }

  #axes() {
    const quiet = () => colour(this.#node, "--muted");
    const grid = { stroke: () => colour(this.#node, "--rule"), width: 1 };
    const font = "12px system-ui, sans-serif";
    return [
      {
        stroke: quiet,
        grid: { show: false },
        ticks: { show: false },
        font,
        space: 72,
        size: 28,
        values: timeTicks,
      },
      { stroke: quiet, grid, ticks: { show: false }, font, space: 36, size: widthOfValues, values: valueTicks },
    ];
  }

  // A gap is a place, not only a missing line.
  #shade(plot) {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.save();
    plot.ctx.fillStyle = colour(this.#node, "--gap");
    for (const { from, to } of this.#gaps) {
      const begin = Math.max(left, plot.valToPos(from, "x", true));
      const end = Math.min(left + width, plot.valToPos(to, "x", true));
      if (end > begin) plot.ctx.fillRect(begin, top, Math.max(2, end - begin), height);
    }
    plot.ctx.restore();
  }
}

function valueTicks(_plot, splits) {
  const step = Math.abs((splits[1] ?? 1) - (splits[0] ?? 0));
  const decimals = decimalsOf(step);
  return splits.map((split) => formatNumber(split, decimals));
}

function widthOfValues(_plot, values) {
  const longest = (values ?? []).reduce((most, value) => Math.max(most, value.length), 0);
  return Math.max(44, 16 + longest * 7);
}

/** What a chart of `range` says to those who do not see it. */
export function describeChart(title, range) {
  return `Chart of ${title} over the last ${formatSpan(range.span_ms)}`;
}
