// One link shared by several tabs: a browser allows six connections to an origin over HTTP/1.1, all tabs together.
//
// Each tab is a port. What comes over the link is sent to all ports in batches. A tab says when it leaves; one that
// dies without a word, or is frozen, stops acknowledging and is dropped, so that nothing gathers for it. The link
// closes with the last port.
//
//   tab to hub   {kind: "start", position}   I have everything up to here: open the link, unless it is open
//                {kind: "heard"}             answer to each batch and each ping
//                {kind: "check"}             somebody came back: is the stream still there?
//                {kind: "leave"}
//   hub to tab   {kind: "started", since}    you get every entry after `since`
//                {kind: "entries", entries}
//                {kind: "ping"}
//                {kind: "dropped"}           no more entries: join again

// A batch waits this long at most: two frames of a 60 Hz screen.
const BATCH_MS = 32;
const BATCH_LIMIT = 500;
const PING_MS = 15_000;
// A busy tab answers within a second; a frozen one never does. Counted in pings, not in time, so that a laptop may
// sleep.
const PINGS_UNHEARD_LIMIT = 3;
// What may be under way to one tab; more means that it is frozen: some 5 MB in the browser's queue.
const ENTRIES_UNHEARD_LIMIT = 20_000;

export class Hub {
  #link;
  #ports = new Map();
  #batch = [];
  #batch_timer = null;
  #sent_at = 0;
  #ping_timer = null;
  #state = null;
  #gateway = null;

  /** `makeLink(tell)` makes the link. */
  constructor(makeLink) {
    this.#link = makeLink((entry) => this.#take(entry));
  }

  /** A tab joins: it gets every entry from now on. */
  join(port) {
    // `since` is null until the link is open: then its start counts.
    this.#ports.set(port, { since: this.#link.position, pings: 0, entries: 0, batches: [] });
    port.onmessage = ({ data }) => this.#answer(port, data);
    this.#ping_timer ??= setInterval(() => this.#ping(), PING_MS);
    const known = [this.#state, this.#gateway].filter(Boolean);
    if (known.length) port.postMessage({ kind: "entries", entries: known });
  }

  #answer(port, message) {
    const tab = this.#ports.get(port);
    if (!tab) return;
    tab.pings = 0;
    if (message.kind === "start") this.#start(port, tab, message.position);
    else if (message.kind === "heard") tab.entries -= tab.batches.shift() ?? 0;
    else if (message.kind === "check") this.#link.check();
    else if (message.kind === "leave") this.#remove(port);
  }

  #start(port, tab, position) {
    if (!this.#link.isOpen) {
      this.#link.open(position);
      for (const other of this.#ports.values()) other.since = position;
    }
    port.postMessage({ kind: "started", since: tab.since });
  }

  #take(entry) {
    if (entry.event === "far") {
      this.#flush();
      for (const port of [...this.#ports.keys()]) this.#dismiss(port);
      return;
    }
    if (entry.event === "state") this.#state = entry;
    if (entry.event === "gateway") this.#gateway = entry;
    if (entry.event === "gap") for (const tab of this.#ports.values()) tab.since = entry.position;
    this.#batch.push(entry);
    if (this.#batch.length >= BATCH_LIMIT || Date.now() - this.#sent_at >= BATCH_MS) this.#flush();
    else this.#batch_timer ??= setTimeout(() => this.#flush(), BATCH_MS);
  }

  #flush() {
    clearTimeout(this.#batch_timer);
    this.#batch_timer = null;
    this.#sent_at = Date.now();
    const entries = this.#batch;
    this.#batch = [];
    if (entries.length) for (const [port, tab] of this.#ports) this.#send(port, tab, entries);
  }

  #send(port, tab, entries) {
    tab.entries += entries.length;
    tab.batches.push(entries.length);
    if (tab.entries > ENTRIES_UNHEARD_LIMIT) this.#dismiss(port);
    else port.postMessage({ kind: "entries", entries });
  }

  #ping() {
    for (const [port, tab] of this.#ports) {
      tab.pings += 1;
      if (tab.pings > PINGS_UNHEARD_LIMIT) {
        this.#dismiss(port);
      } else {
        tab.batches.push(0);
        port.postMessage({ kind: "ping" });
      }
    }
  }

  // The tab reads this when it thaws, after what was under way.
  #dismiss(port) {
    port.postMessage({ kind: "dropped" });
    this.#remove(port);
  }

  #remove(port) {
    port.onmessage = null;
    this.#ports.delete(port);
    if (this.#ports.size) return;
    this.#link.close();
    this.#state = null;
    this.#gateway = null;
    this.#batch = [];
    clearInterval(this.#ping_timer);
    this.#ping_timer = null;
  }
}
