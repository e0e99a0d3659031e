// What the gateway says stands in the way of readings: on top of the page until it is over.

import { element } from "./element.js";
import { lines } from "./readiness.js";

export class Banner {
  #node;
  #shown = "";

  constructor(node) {
    this.#node = node;
  }

  /** Shows `readiness`, or nothing when all is well. */
  show(readiness) {
    const told = lines(readiness);
    const now = JSON.stringify(told);
    // A screen reader hears each change of the node.
    if (now === this.#shown) return;
    this.#shown = now;
    this.#node.replaceChildren(...told.map(({ kind, text }) => element("p", { class: kind }, text)));
  }
}
