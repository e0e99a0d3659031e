// One device: a panel for each metric, over a range of time that can be chosen.

import { getReadings } from "./api.js";
import { Badge } from "./badge.js";
import { lastSeen } from "./card.js";
import { element, setText } from "./element.js";
import { formatSpan } from "./format.js";
import { nextFrame } from "./frame.js";
import { History, RANGES } from "./history.js";
import { ChartPanel, TablePanel } from "./panel.js";

const REMEMBERED_RANGE = "range";

function rememberedRange() {
  const key = sessionStorage.getItem(REMEMBERED_RANGE);
  return RANGES.find((range) => range.key === key) ?? RANGES[1];
}

export class Detail {
  #name;
  #devices;
  #gaps;
  #now;
  #history;
  #range = rememberedRange();
  #charts = new Map();
  #tables = new Map();
  #title = element("h1", { tabindex: "-1" });
  #sub = element("p", { class: "detail-sub" });
  #badge = new Badge();
  #note = element("p", { class: "note", hidden: true });
  #chartGrid = element("div", { class: "panels" });
  #tableGrid = element("div", { class: "panels" });
  #render = () => this.#show();

  constructor(name, { devices, gaps, now }) {
    this.#name = name;
    this.#devices = devices;
    this.#gaps = gaps;
    this.#now = now;
    this.node = element(
      "article",
      { class: "detail", "data-device": name },
      element("a", { class: "back", href: "#/" }, "All devices"),
      element("header", {}, this.#title, this.#badge.node, this.#sub, this.#rangeChoice()),
      this.#note,
      this.#chartGrid,
      this.#tableGrid,
    );
    this.#load();
  }

  get title() {
    return this.#devices.get(this.#name)?.title ?? this.#name;
  }

  focus() {
    this.#title.focus({ preventScroll: true });
  }

  /** A reading of this device from the stream. */
  take(reading, position) {
    this.#history.take(reading, position);
    nextFrame(this.#render);
  }

  /** The snapshot is new: the history must be too. */
  refresh() {
    this.#reload();
  }

  touch() {
    nextFrame(this.#render);
  }

  /** A second passed: the window moves on. */
  tick() {
    nextFrame(this.#render);
  }

  recolour() {
    for (const panel of this.#charts.values()) panel.recolour();
  }

  destroy() {
    this.#history.stop();
    this.#clear();
    this.node.remove();
  }

  #rangeChoice() {
    const choice = element("fieldset", { class: "ranges" }, element("legend", { class: "unseen" }, "Range of time"));
    for (const range of RANGES) {
      const input = element("input", { type: "radio", name: "range", value: range.key });
      input.checked = range === this.#range;
      input.addEventListener("change", () => this.#choose(range));
      choice.append(element("label", {}, input, element("span", {}, range.title)));
    }
    return choice;
  }

  #choose(range) {
    this.#range = range;
    sessionStorage.setItem(REMEMBERED_RANGE, range.key);
    this.#history.stop();
    this.#clear();
    this.#load();
  }

  #load() {
    this.#history = new History(this.#name, this.#range, getReadings, this.#render.bind(this));
    this.#reload();
  }

  #reload() {
    const metrics = [...(this.#devices.get(this.#name)?.metrics.values() ?? [])];
    const textual = metrics.filter(({ value }) => value !== undefined && typeof value !== "number");
    this.#history.load(textual.map(({ name }) => name));
  }

  #clear() {
    for (const panels of [this.#charts, this.#tables]) {
      for (const panel of panels.values()) panel.destroy();
      panels.clear();
    }
  }

  #show() {
    if (!this.node.isConnected) return;
    const device = this.#devices.get(this.#name);
    setText(this.#title, this.title);
    this.#badge.show(device?.status ?? "unknown");
    this.#showSub(device);
    this.#showNote(device);
    if (device) this.#showPanels(device);
  }

  #showSub(device) {
    const parts = [device && lastSeen(device, this.#now()), device?.label && device.name, device?.model];
    setText(this.#sub, parts.filter(Boolean).join(" · "));
  }

  #showNote(device) {
    const notes = [];
    const { state, complete, retained_total, skew_ms } = this.#history;
    if (state === "loading") notes.push("Loading the history…");
    if (state === "failed") notes.push("The history could not be loaded; trying again.");
    if (!device) notes.push("Nothing is known of this device yet. What it sends will appear here.");
    if (!complete) notes.push("The log does not hold all of this time.");
    if (retained_total) notes.push("Values kept by the broker are not drawn: their age is unknown.");
    if (skew_ms)
      notes.push(
        `The times are the device's own; its clock is ${formatSpan(Math.abs(skew_ms))} ${skew_ms > 0 ? "behind" : "ahead"}.`,
      );
    this.#note.hidden = notes.length === 0;
    setText(this.#note, notes.join(" "));
  }

  #showPanels(device) {
    const to = this.#now() - this.#history.skew_ms;
    const from = this.#history.from(to);
    const { numbers, changes } = this.#history;
    for (const [name, points] of numbers) {
      const panel = this.#panel(this.#charts, this.#chartGrid, device.metric(name), ChartPanel);
      panel.show(points, from, to, this.#gaps.spans);
    }
    for (const [name, rows] of changes) {
      this.#panel(this.#tables, this.#tableGrid, device.metric(name), TablePanel).show(rows);
    }
  }

  // A metric that was a number and became a text has a panel of each kind.
  #panel(panels, grid, metric, Panel) {
    let panel = panels.get(metric.name);
    if (panel) return panel;
    panel = new Panel(metric, this.#range);
    panels.set(metric.name, panel);
    // In the order of the card: that in which the device first told of its metrics.
    const names = [...this.#devices.get(this.#name).metrics.keys()];
    const next = names.slice(names.indexOf(metric.name) + 1).find((name) => panels.has(name));
    grid.insertBefore(panel.node, panels.get(next)?.node ?? null);
    return panel;
  }
}
