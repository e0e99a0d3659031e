// All devices as cards, ordered by name. Only cards in view are written to, once per animation frame.

import { getReadings } from "./api.js";
import { Card } from "./card.js";
import { SPARK_STEP_MS, SPARK_STEPS, compareNames } from "./devices.js";
import { element, setText } from "./element.js";
import { nextFrame } from "./frame.js";

// Fewer than these are found by eye.
const FILTER_FROM = 9;
// Sparklines of more devices begin empty: asking the log for each would cost the gateway more than they tell.
const TREND_LIMIT = 60;
const TREND = [
  ["since", `${(SPARK_STEP_MS * SPARK_STEPS) / 60_000}m`],
  ["buckets", SPARK_STEPS],
];

const STATUSES = ["online", "silent", "offline", "unknown"];

export class List {
  #devices;
  #now;
  #cards = new Map();
  #order = [];
  #visible = new Set();
  #dirty = new Set();
  #trends = [];
  #trending = false;
  #filter;
  #nodes;
  #observer = new IntersectionObserver((seen) => this.#see(seen), { rootMargin: "200px" });
  #render = () => this.#show();
  #rearrange = () => this.#arrange();

  /** `nodes`: `list`, `filter`, `filterBox`, `summary`, `empty`, `nothing`; `now()` is by the gateway's clock. */
  constructor(devices, nodes, now) {
    this.#devices = devices;
    this.#nodes = nodes;
    this.#now = now;
    this.#filter = "";
    nodes.filter.addEventListener("input", () => this.#filterBy(nodes.filter.value));
  }

  /** The snapshot is new: cards appear, disappear, and all are written again. */
  refresh() {
    for (const [name, card] of this.#cards) if (!this.#devices.get(name)) this.#remove(name, card);
    for (const device of this.#devices) this.#meet(device);
    for (const card of this.#cards.values()) this.#dirty.add(card);
    this.#arrange();
    this.#queueTrends();
    nextFrame(this.#render);
  }

  /** Something of this device changed. */
  touch(device) {
    if (!this.#cards.has(device.name)) {
      this.#meet(device);
      nextFrame(this.#rearrange);
    }
    const card = this.#cards.get(device.name);
    if (this.#dirty.has(card)) return;
    this.#dirty.add(card);
    nextFrame(this.#render);
  }

  /** A second passed: ages. */
  tick() {
    const now_ms = this.#now();
    for (const card of this.#visible) card.showAge(now_ms);
    this.#summarise();
  }

  focus(name) {
    this.#cards.get(name)?.focus();
  }

  #meet(device) {
    const known = this.#cards.get(device.name);
    if (known?.device === device) return;
    if (known) this.#remove(device.name, known);
    const card = new Card(device);
    card.show(this.#now());
    this.#cards.set(device.name, card);
    this.#order.push(device.name);
    this.#observer.observe(card.node);
  }

  #remove(name, card) {
    this.#observer.unobserve(card.node);
    card.node.remove();
    this.#cards.delete(name);
    this.#visible.delete(card);
    this.#dirty.delete(card);
    this.#order = this.#order.filter((other) => other !== name);
  }

  // Sorted, and only what is out of place is moved, so that a focus or a selection stays.
  #arrange() {
    this.#order.sort(compareNames);
    const { list } = this.#nodes;
    let place = list.firstElementChild;
    for (const name of this.#order) {
      const { node } = this.#cards.get(name);
      if (node === place) place = place.nextElementSibling;
      else list.insertBefore(node, place);
    }
    this.#nodes.filterBox.hidden = this.#order.length < FILTER_FROM;
    this.#nodes.empty.hidden = this.#order.length > 0;
    this.#applyFilter();
    this.#summarise();
  }

  #filterBy(text) {
    this.#filter = text.trim().toLowerCase();
    this.#applyFilter();
  }

  #applyFilter() {
    let found = 0;
    for (const [name, card] of this.#cards) {
      const { label = "", model = "", status } = card.device;
      const hit = `${name}\n${label}\n${model}\n${status}`.toLowerCase().includes(this.#filter);
      if (card.node.hidden === hit) card.node.hidden = !hit;
      if (hit) found += 1;
    }
    this.#nodes.nothing.hidden = found > 0 || this.#cards.size === 0;
  }

  #summarise() {
    const counts = new Map();
    for (const { status } of this.#devices) counts.set(status, (counts.get(status) ?? 0) + 1);
    const parts = STATUSES.filter((status) => counts.has(status)).map((status) => `${counts.get(status)} ${status}`);
    const { size } = this.#cards;
    setText(this.#nodes.summary, size ? `${size} ${size === 1 ? "device" : "devices"}: ${parts.join(", ")}` : "");
  }

  #see(seen) {
    for (const { target, isIntersecting } of seen) {
      const card = this.#cards.get(target.dataset.device);
      if (card?.node !== target) continue;
      if (isIntersecting) {
        this.#visible.add(card);
        this.#dirty.add(card);
      } else {
        this.#visible.delete(card);
      }
    }
    nextFrame(this.#render);
  }

  // A card out of view stays dirty until it comes into view.
  #show() {
    const now_ms = this.#now();
    for (const card of this.#visible) if (this.#dirty.delete(card)) card.show(now_ms);
  }

  #queueTrends() {
    this.#trends = this.#order.length <= TREND_LIMIT ? [...this.#order] : [];
    if (!this.#trending) this.#fillTrends();
  }

  // One question at a time: a first view must not keep the gateway from its streams.
  async #fillTrends() {
    this.#trending = true;
    while (this.#trends.length) {
      const device = this.#devices.get(this.#trends.shift());
      if (device) await this.#fillTrend(device);
    }
    this.#trending = false;
  }

  async #fillTrend(device) {
    try {
      const answer = await getReadings(device.name, TREND);
      device.recall(answer?.buckets ?? []);
      this.touch(device);
    } catch (error) {
      // A sparkline that begins empty is no fault worth a notice.
      console.info("no trend:", error);
    }
  }
}
