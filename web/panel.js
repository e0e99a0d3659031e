// One metric in the device's own view: a chart for a number, a table of changes for anything else.

import { Chart, describeChart } from "./chart.js";
import { element, setAttribute, setText } from "./element.js";
import { firstAfter } from "./gaps.js";
import { formatClock, formatNumber, formatValue } from "./format.js";
import { family, written } from "./units.js";

function head(title) {
  return element("h3", {}, title);
}

export class ChartPanel {
  #metric;
  #range;
  #title = head("");
  #number = element("span", { class: "row-number" });
  #unit = element("span", { class: "row-unit" });
  #note = element("p", { class: "panel-note" });
  #canvas;
  #chart;
  #columns = [[], []];
  #hovered = null;

  constructor(metric, range) {
    this.#metric = metric;
    this.#range = range;
    this.#canvas = element("div", { class: "chart", role: "img" });
    this.node = element(
      "section",
      { class: "panel", "data-metric": metric.name },
      element("header", {}, this.#title, element("p", { class: "panel-value" }, this.#number, this.#unit)),
      this.#canvas,
      this.#note,
    );
    // For tests, and for whoever inspects the page: what the chart draws.
    this.node.points = () => this.#columns.map((column) => [...column]);
  }

  show(points, from, to, gaps) {
    this.#chart ??= new Chart(this.#canvas, {
      banded: this.#range.buckets !== undefined,
      hover: (index) => this.#hover(index),
    });
    this.#columns = points.columns;
    this.#chart.draw(this.#columns, from, to, gaps);
    setText(this.#title, this.#metric.title);
    setText(this.#unit, written(this.#metric.unit));
    setAttribute(this.node, "data-family", family(this.#metric.unit));
    setAttribute(this.#canvas, "aria-label", describeChart(this.#metric.title, this.#range));
    this.#showReadout(from);
  }

  recolour() {
    this.#chart?.recolour();
  }

  destroy() {
    this.#chart?.destroy();
    this.node.remove();
  }

  #hover(index) {
    this.#hovered = index;
    this.#showReadout(0);
  }

  // The point under the pointer, else the newest value and what the window holds.
  #showReadout(from) {
    const [xs, ys, lows = ys, highs = ys] = this.#columns;
    const { decimals } = this.#metric;
    const index = this.#hovered;
    if (index !== null && index < xs.length) {
      setText(this.#number, formatNumber(ys[index], decimals));
      const band =
        highs === ys ? "" : `, ${formatNumber(lows[index], decimals)} to ${formatNumber(highs[index], decimals)}`;
      setText(this.#note, `at ${formatClock(xs[index])}${band}`);
      return;
    }
    setText(this.#number, formatValue(this.#metric.value ?? "", decimals));
    setText(this.#note, this.#summary(xs, lows, highs, from, decimals));
  }

  #summary(xs, lows, highs, from, decimals) {
    let low = Infinity;
    let high = -Infinity;
    for (let i = firstAfter(xs, from); i < xs.length; i += 1) {
      low = Math.min(low, lows[i]);
      high = Math.max(high, highs[i]);
    }
    if (low > high) return "no reading in this time";
    return `lowest ${formatNumber(low, decimals)}, highest ${formatNumber(high, decimals)}`;
  }
}

export class TablePanel {
  #metric;
  #title = head("");
  #number = element("span", { class: "row-number" });
  #rows = element("tbody");
  #drawn = "";

  constructor(metric) {
    this.#metric = metric;
    const titles = element(
      "tr",
      {},
      element("th", { scope: "col" }, "Since"),
      element("th", { scope: "col" }, "Value"),
    );
    this.node = element(
      "section",
      { class: "panel", "data-metric": metric.name },
      element("header", {}, this.#title, element("p", { class: "panel-value" }, this.#number)),
      // Focusable, so that a keyboard can scroll it.
      element(
        "div",
        { class: "changes", tabindex: "0", role: "region", "aria-label": `Last changes of ${metric.title}` },
        element("table", {}, element("thead", {}, titles), this.#rows),
      ),
    );
    this.node.changes = () => [...this.#rows.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  }

  show(changes) {
    setText(this.#title, this.#metric.title);
    setText(this.#number, formatValue(this.#metric.value ?? "", this.#metric.decimals));
    const rows = changes.newest_first;
    const key = rows.map(({ at }) => at).join();
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.#rows.replaceChildren(
      ...rows.map(({ at, value }) =>
        element("tr", {}, element("td", {}, formatClock(at)), element("td", {}, formatValue(value))),
      ),
    );
  }

  destroy() {
    this.node.remove();
  }
}
