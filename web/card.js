// One device as a card. Nodes are made once; showing writes only what differs.

import { Badge } from "./badge.js";
import { SPARK_STEP_MS, SPARK_STEPS } from "./devices.js";
import { element, setAttribute, setText } from "./element.js";
import { formatAge, formatClock, formatValue } from "./format.js";
import { deviceHash } from "./route.js";
import { Spark } from "./spark.js";
import { family, written } from "./units.js";

// More metrics than these make a card a table: the device's own view shows all.
const ROW_LIMIT = 6;
const SPARK_SPAN_MS = SPARK_STEP_MS * SPARK_STEPS;
// A metric that is new fills its sparkline from one minute on, instead of being a dash at its right end.
const SPARK_LEAST_MS = 60_000;

const KEPT = "kept by the broker, age unknown";

class Row {
  #label = element("span", { class: "row-label" });
  #number = element("span", { class: "row-number" });
  #unit = element("span", { class: "row-unit" });
  #kept = element("span", { class: "kept", title: KEPT, hidden: true }, "kept");
  #spark = new Spark();

  node = element(
    "div",
    { class: "row" },
    element("dt", {}, this.#label),
    element("dd", { class: "row-trend", "aria-hidden": "true" }, this.#spark.node),
    element("dd", { class: "row-value" }, this.#kept, this.#number, this.#unit),
  );

  show(metric, now_ms) {
    setText(this.#label, metric.title);
    setText(this.#number, formatValue(metric.value, metric.decimals));
    setText(this.#unit, written(metric.unit));
    setAttribute(this.node, "data-family", family(metric.unit));
    setAttribute(this.node, "data-kind", typeof metric.value);
    this.#kept.hidden = !metric.retained;
    if (!metric.trend) return;
    const [xs, means] = metric.trend.columns;
    // By the device's clock, lest a wrong one push the line out of view.
    const to = Math.max(xs.at(-1) ?? 0, now_ms - (metric.received_at - metric.at));
    const span_ms = Math.min(SPARK_SPAN_MS, Math.max(SPARK_LEAST_MS, to - (xs[0] ?? to)));
    this.#spark.draw(xs, means, to, span_ms);
  }
}

/** When something of a device last arrived, in words. */
export function lastSeen(device, now_ms) {
  if (device.arrived_at !== undefined) return formatAge(now_ms - device.arrived_at);
  return device.metrics.size ? KEPT : "no reading yet";
}

export class Card {
  #device;
  #title = element("a", { class: "card-link" });
  #sub = element("p", { class: "card-sub" });
  #badge = new Badge();
  #rows = new Map();
  #list = element("dl", { class: "rows" });
  #more = element("p", { class: "more", hidden: true });

  constructor(device) {
    this.#device = device;
    this.#title.href = deviceHash(device.name);
    this.node = element(
      "li",
      { class: "card", "data-device": device.name },
      element("header", {}, element("h2", {}, this.#title), this.#badge.node, this.#sub),
      this.#list,
      this.#more,
    );
  }

  get device() {
    return this.#device;
  }

  focus() {
    this.#title.focus({ preventScroll: true });
  }

  show(now_ms) {
    const device = this.#device;
    setText(this.#title, device.title);
    this.#badge.show(device.status);
    setAttribute(this.node, "data-status", device.status);
    this.#showRows(now_ms);
    this.showAge(now_ms);
  }

  showAge(now_ms) {
    const { arrived_at, label, name, model } = this.#device;
    const parts = [lastSeen(this.#device, now_ms), label ? name : model];
    setText(this.#sub, parts.filter(Boolean).join(" · "));
    setAttribute(
      this.#sub,
      "title",
      arrived_at === undefined ? "" : `last reading at ${formatClock(arrived_at, now_ms)}`,
    );
  }

  #showRows(now_ms) {
    const named = [...this.#device.metrics.values()].filter((metric) => metric.value !== undefined);
    for (const metric of named.slice(0, ROW_LIMIT)) {
      let row = this.#rows.get(metric.name);
      if (!row) {
        row = new Row();
        this.#rows.set(metric.name, row);
        this.#list.append(row.node);
      }
      row.show(metric, now_ms);
    }
    this.#more.hidden = named.length <= ROW_LIMIT;
    setText(this.#more, `and ${named.length - ROW_LIMIT} more`);
  }
}
