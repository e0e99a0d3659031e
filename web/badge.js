// A device's status: a shape, a word and a colour, so that none of them is needed alone.

import { element, setAttribute, setText, svg } from "./element.js";

const SHAPES = new Map([
  ["online", [svg("circle", { cx: 6, cy: 6, r: 4.5 })]],
  [
    "silent",
    [svg("circle", { cx: 6, cy: 6, r: 4, class: "hollow" }), svg("path", { d: "M6 3.6V6l1.6 1", class: "hollow" })],
  ],
  ["offline", [svg("path", { d: "M2.5 2.5l7 7M9.5 2.5l-7 7", class: "hollow" })]],
  ["unknown", [svg("circle", { cx: 6, cy: 6, r: 4, class: "hollow dotted" })]],
]);

export class Badge {
  #icon = svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" });
  #word = element("span");
  #status;

  node = element("span", { class: "badge" }, this.#icon, this.#word);

  show(status) {
    if (status === this.#status) return;
    this.#status = status;
    const shape = SHAPES.get(status) ?? SHAPES.get("unknown");
    this.#icon.replaceChildren(...shape.map((part) => part.cloneNode()));
    setText(this.#word, status);
    setAttribute(this.node, "data-status", status);
  }
}
