// The last changes of a metric that is not a number: a table says more about a door than a chart does.

export class Changes {
  #rows = [];
  #limit;

  // 50: two screens of a phone.
  constructor(limit = 50) {
    this.#limit = limit;
  }

  get length() {
    return this.#rows.length;
  }

  /** `{at, value}`, newest first. */
  get newest_first() {
    return this.#rows.toReversed();
  }

  /** A reading; only one that differs from the one before it is kept. */
  add(at, value) {
    const rows = this.#rows;
    let place = rows.length;
    while (place > 0 && rows[place - 1].at > at) place -= 1;
    if (place > 0 && rows[place - 1].value === value) return;
    rows.splice(place, 0, { at, value });
    // A late reading may show that the change after it was none.
    if (rows[place + 1]?.value === value) rows.splice(place + 1, 1);
    if (rows.length > this.#limit) rows.shift();
  }
}
