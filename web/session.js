// From a snapshot to a stream, with nothing missed and nothing twice.
//
// Joining is one operation, and it is the same at the start, after a gap, after the page slept and after the hub let
// go: join the feed and hold what comes; ask for the snapshot, which carries a position; tell the hub to start there;
// drop what was held up to that position, apply the rest, and go on. The hub answers with `since`, from where this
// tab has every entry. When it lies above the snapshot's position (another tab started the link a moment later) there
// would be a hole between the two: a newer snapshot closes it.

import { NotReadyError } from "./api.js";
import { IDLE } from "./status.js";

// Held while a snapshot is under way; more, and a new snapshot is cheaper.
const HELD_LIMIT = 20_000;
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 15_000;

export class Session {
  #feed;
  #getDevices;
  #page;
  #held = null;
  #position = null;
  #needed = null;
  #joining = null;
  #failed = null;
  #linkState = IDLE;
  #attempts = 0;
  #gap_open = false;

  /** Gateway's clock minus ours. */
  clock_offset_ms = 0;

  /**
   * `page` is told: `snapshot(devices)`, `reading(reading, position)`, `device(known)`, `alert(alert)`, `gap(gap)`,
   * `gateway(readiness)`, `gapEnd(reading)` (the first one after a gap, whether it is then applied or in the snapshot),
   * `state(state)`.
   */
  constructor(makeFeed, getDevices, page) {
    this.#feed = makeFeed((message) => this.#take(message));
    this.#getDevices = getDevices;
    this.#page = page;
  }

  /** Now, by the gateway's clock: what ages are counted against. */
  get now_ms() {
    return Date.now() + this.clock_offset_ms;
  }

  get state() {
    return this.#failed ?? this.#linkState;
  }

  join() {
    this.#feed.join();
    this.#needed = null;
    this.#hold();
  }

  leave() {
    this.#joining?.abort();
    this.#feed.leave();
  }

  /** Somebody looks again: joins when there is nothing to check. */
  check() {
    if (!this.#feed.isJoined) this.join();
    else if (this.#failed) this.#hold();
    else this.#feed.check();
  }

  // Holds entries back until a snapshot has come.
  #hold() {
    this.#joining?.abort();
    this.#joining = new AbortController();
    this.#held = [];
    this.#attempts = 0;
    this.#ask(this.#joining.signal);
  }

  async #ask(signal) {
    let snapshot;
    try {
      snapshot = await this.#getDevices(signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(error, signal);
      return;
    }
    if (signal.aborted) return;
    this.#setFailed(null);
    this.clock_offset_ms = snapshot.time - Date.now();
    if (this.#needed !== null && snapshot.position < this.#needed) {
      this.#later(signal);
      return;
    }
    this.#apply(snapshot);
  }

  #fail(error, signal) {
    console.warn("no snapshot:", error);
    const is_starting = error instanceof NotReadyError;
    // It is there, and has said when to ask again.
    if (is_starting) this.#attempts = 0;
    const failed = is_starting
      ? { phase: "starting", why: error.message }
      : { phase: "disconnected", since: Date.now() };
    this.#setFailed(this.#failed?.phase === failed.phase ? this.#failed : failed);
    this.#later(signal);
  }

  #setFailed(state) {
    if (this.#failed === state) return;
    this.#failed = state;
    this.#page.state(this.state);
  }

  #later(signal) {
    const wait = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** this.#attempts) * (0.5 + Math.random());
    this.#attempts += 1;
    setTimeout(() => signal.aborted || this.#ask(signal), wait);
  }

  #apply(snapshot) {
    const held = this.#held;
    this.#held = null;
    this.#position = snapshot.position;
    this.#page.snapshot(snapshot.devices);
    for (const entry of held) this.#entry(entry);
    this.#feed.start(snapshot.position);
  }

  #take(message) {
    if (message.kind === "entries") for (const entry of message.entries) this.#sort(entry);
    else if (message.kind === "started") this.#started(message.since);
    else if (message.kind === "dropped") this.join();
  }

  #started(since) {
    if (this.#held !== null || since <= this.#position) return;
    this.#needed = since;
    this.#hold();
  }

  #sort(entry) {
    if (this.#gap_open && entry.event === "reading") {
      this.#gap_open = false;
      this.#page.gapEnd(entry.data);
    }
    if (entry.event === "state") {
      this.#linkState = entry.state;
      this.#page.state(this.state);
    } else if (entry.event === "gateway") {
      this.#page.gateway(entry.data);
    } else if (entry.event === "time") {
      this.clock_offset_ms = entry.data.time - entry.data.heard_at;
    } else if (entry.event === "gap") {
      this.#page.gap(entry.data);
      this.#gap_open = true;
      this.#needed = entry.position;
      this.#hold();
    } else if (this.#held === null) {
      this.#entry(entry);
    } else {
      this.#keep(entry);
    }
  }

  #keep(entry) {
    this.#held.push(entry);
    if (this.#held.length <= HELD_LIMIT) return;
    this.#needed = entry.position;
    this.#held = [];
  }

  #entry({ event, position, data }) {
    if (position <= this.#position) return;
    this.#position = position;
    if (event === "reading") this.#page.reading(data, position);
    else if (event === "device") this.#page.device(data);
    else this.#page.alert(data);
  }
}
