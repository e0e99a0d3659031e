// Devices that lost readings because they sent them faster than could be kept, as the stream's alerts tell. Pure.

import { formatClock, formatNumber } from "./format.js";

// The one that was told longest ago is forgotten first.
const LIMIT = 20;

export class Alerts {
  #byDevice = new Map();

  /** One for each device, the newest last. */
  get items() {
    return [...this.#byDevice.values()];
  }

  /** An alert came; after a dismissal it counts anew. */
  take({ device, dropped, since }) {
    const known = this.#byDevice.get(device);
    const item = known && !known.dismissed ? known : { device, dropped: 0, since, dismissed: false };
    item.dropped += dropped;
    this.#byDevice.delete(device);
    this.#byDevice.set(device, item);
    if (this.#byDevice.size > LIMIT) this.#byDevice.delete(this.#byDevice.keys().next().value);
  }
}

/** The sentence of a notice. */
export function alertSentence({ device, dropped, since }, now_ms = Date.now()) {
  const count = `${formatNumber(dropped, 0)} ${dropped === 1 ? "reading" : "readings"}`;
  return `${device} sends faster than can be kept: ${count} dropped since ${formatClock(since, now_ms)}`;
}
