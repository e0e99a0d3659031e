// Notices stay until dismissed: what is gone does not come back, so nobody should miss being told.

import { element, setText } from "./element.js";
import { gapSentence } from "./gaps.js";

export class Notices {
  #node;
  #shown = new Map();

  constructor(node) {
    this.#node = node;
  }

  /** Shows what `gaps` holds. */
  show(gaps) {
    for (const span of gaps.spans) {
      if (!span.dismissed) setText(this.#line(span), gapSentence(span));
    }
    for (const [span, line] of this.#shown) {
      if (span.dismissed || !gaps.spans.includes(span)) {
        line.parentElement.remove();
        this.#shown.delete(span);
      }
    }
  }

  #line(span) {
    const known = this.#shown.get(span);
    if (known) return known;
    const line = element("p");
    const dismiss = element("button", { type: "button" }, "Dismiss");
    const notice = element("div", { class: "notice" }, line, dismiss);
    dismiss.addEventListener("click", () => {
      span.dismissed = true;
      this.#shown.delete(span);
      notice.remove();
    });
    this.#shown.set(span, line);
    this.#node.append(notice);
    return line;
  }
}
