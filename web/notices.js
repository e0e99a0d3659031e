// Notices stay until dismissed: what is gone does not come back, so nobody should miss being told.

import { element, setText } from "./element.js";

export class Notices {
  #node;
  #sentence;
  #shown = new Map();

  /** In `node`, each item by its `sentence`. */
  constructor(node, sentence) {
    this.#node = node;
    this.#sentence = sentence;
  }

  /** Shows `items`, but those that were dismissed. */
  show(items) {
    for (const item of items) {
      if (!item.dismissed) setText(this.#line(item), this.#sentence(item));
    }
    for (const [item, line] of this.#shown) {
      if (item.dismissed || !items.includes(item)) {
        line.parentElement.remove();
        this.#shown.delete(item);
      }
    }
  }

  #line(item) {
    const known = this.#shown.get(item);
    if (known) return known;
    const line = element("p");
    const dismiss = element("button", { type: "button" }, "Dismiss");
    const notice = element("div", { class: "notice" }, line, dismiss);
    dismiss.addEventListener("click", () => {
      item.dismissed = true;
      this.#shown.delete(item);
      notice.remove();
    });
    this.#shown.set(item, line);
    this.#node.append(notice);
    return line;
  }
}
