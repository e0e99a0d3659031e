// The one connection to the gateway: an EventSource that is kept alive, in order and without a double entry.
//
// A browser's EventSource reconnects by itself with Last-Event-ID, but not always: after 204, 404, 429, 502 or 503 (a
// proxy while the gateway restarts) it is CLOSED for good, a new object forgets its id, and a connection whose other
// end vanished (a laptop slept, a Wi-Fi changed) stays "open" for ever. So the link keeps the position itself, opens
// a new EventSource with `after=` when the old one gave up, and renews one that has said nothing for long: coming
// back at a position is exact, so renewing costs a round trip and nothing else. Heartbeats fire nothing in
// JavaScript, hence a quiet stream and a dead one look alike.

import { CLEAR } from "./readiness.js";
import { IDLE, after, isLive } from "./status.js";

const TICK_MS = 1_000;
// Four heartbeats of 15 s.
const QUIET_MS = 60_000;
// Somebody came back to the page: three heartbeats are enough doubt.
const DOUBT_MS = 45_000;
// A stream begins at once; this is a slow phone network.
const HELLO_MS = 10_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
// Replaying more than this costs more than asking for everything anew.
const REPLAY_LIMIT = 20_000;

export class Link {
  #source = null;
  #address;
  #tell;
  #parts;
  #timer = null;
  #attempts = 0;
  #retry_at = null;
  #opened_at = 0;
  #heard_at = 0;
  #greeted = false;
  // Whether this connection has said what stands in the way of readings, or has shown that there is nothing to say.
  #is_readiness_told = false;
  #replayed = 0;

  /** "I have everything up to and including this"; null before `open`. */
  position = null;
  state = IDLE;

  /**
   * `address(position)` is where the stream is; `tell(entry)` gets `{event: "reading" | "device" | "alert" | "gap" |
   * "time" | "gateway", position, data}`, `{event: "state", state}` and `{event: "far"}` (too much to replay: ask for everything anew).
   * `parts` stand in for the browser's in tests.
   */
  constructor(address, tell, parts = {}) {
    this.#address = address;
    this.#tell = tell;
    this.#parts = {
      EventSource: globalThis.EventSource,
      now: () => Date.now(),
      random: Math.random,
      setInterval: (...args) => setInterval(...args),
      clearInterval: (...args) => clearInterval(...args),
      ...parts,
    };
  }

  get isOpen() {
    return this.#timer !== null;
  }

  open(position) {
    this.close();
    this.position = position;
    this.#attempts = 0;
    this.#timer = this.#parts.setInterval(() => this.#tick(), TICK_MS);
    this.#connect();
  }

  close() {
    this.#drop();
    if (this.#timer !== null) this.#parts.clearInterval(this.#timer);
    this.#timer = null;
    this.#retry_at = null;
    this.position = null;
    this.state = IDLE;
  }

  /** Somebody looks at the page again, or the network is back: do not wait for a timer. */
  check() {
    if (!this.isOpen) return;
    if (!isLive(this.state) || this.#parts.now() - this.#heard_at > DOUBT_MS) this.#connect();
  }

  #drop() {
    this.#source?.close();
    this.#source = null;
  }

  #connect() {
    this.#drop();
    this.#retry_at = null;
    this.#opened_at = this.#parts.now();
    this.#greeted = false;
    const source = new this.#parts.EventSource(this.#address(this.position));
    this.#source = source;
    const on = (type, take) =>
      source.addEventListener(type, (event) => {
        // A closed source may still have events under way.
        if (source === this.#source) take(event);
      });
    on("hello", (event) => this.#hello(event));
    on("live", (event) => this.#live(event));
    on("message", (event) => this.#entry("reading", event));
    on("device", (event) => this.#entry("device", event));
    on("alert", (event) => this.#entry("alert", event));
    on("gateway", (event) => this.#gateway(event));
    on("heartbeat", (event) => this.#heartbeat(event));
    on("gap", (event) => this.#gap(event));
    on("bye", (event) => this.#bye(event));
    on("error", () => this.#error());
  }

  #become(event) {
    const state = after(this.state, { now: this.#parts.now(), ...event });
    if (state === this.state) return;
    this.state = state;
    this.#tell({ event: "state", state });
  }

  #hello(event) {
    const { position, head, time } = this.#hear(event);
    this.#greeted = true;
    this.#attempts = 0;
    this.#replayed = 0;
    this.#become({ kind: "hello", position, head });
    this.#tell({ event: "time", data: { time, heard_at: this.#heard_at } });
    this.#is_readiness_told = false;
  }

  // A fault is told right after `hello`. Whatever else comes first shows that there is none; until then what was told
  // before may still be true, and stays: taken away and told again, it would be read out twice.
  #concludeReadiness() {
    if (this.#is_readiness_told) return;
    this.#is_readiness_told = true;
    this.#tell({ event: "gateway", data: CLEAR });
  }

  #gateway(event) {
    this.#is_readiness_told = true;
    this.#tell({ event: "gateway", data: this.#hear(event) });
  }

  #live(event) {
    this.#hear(event);
    this.#concludeReadiness();
    this.#become({ kind: "live" });
  }

  /** Every third heartbeat is an event: a quiet stream that is alive. Its position is as good as an entry's. */
  #heartbeat(event) {
    const { position, time } = this.#hear(event);
    this.#concludeReadiness();
    if (position > this.position) this.position = position;
    this.#tell({ event: "time", data: { time, heard_at: this.#heard_at } });
  }

  #entry(kind, event) {
    const data = this.#hear(event);
    this.#concludeReadiness();
    const position = Number(event.lastEventId);
    if (!(position > this.position)) return;
    this.position = position;
    this.#tell({ event: kind, position, data });
    if (this.state.phase === "replaying") this.#replay(position);
  }

  #replay(position) {
    this.#replayed += 1;
    if (this.#replayed > REPLAY_LIMIT) {
      this.close();
      this.#tell({ event: "far" });
    } else if (this.#replayed % 100 === 0) {
      this.#become({ kind: "replayed", position });
    }
  }

  #gap(event) {
    const data = this.#hear(event);
    this.#concludeReadiness();
    // Not only upwards: after "ahead" the numbers are those of another log.
    this.position = Number(event.lastEventId);
    this.#tell({ event: "gap", position: this.position, data });
  }

  #bye(event) {
    this.#become({ kind: "bye", reason: this.#hear(event).reason });
  }

  #hear(event) {
    this.#heard_at = this.#parts.now();
    return JSON.parse(event.data);
  }

  #error() {
    this.#become({ kind: "lost" });
    this.#greeted = false;
    this.#opened_at = this.#parts.now();
    if (this.#source.readyState === this.#parts.EventSource.CLOSED) this.#retryLater();
  }

  // Doubling with jitter, so that the tabs of a house do not come back in step.
  #retryLater() {
    this.#drop();
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    this.#retry_at = this.#parts.now() + wait * (0.5 + this.#parts.random());
  }

  #tick() {
    const now = this.#parts.now();
    if (this.#retry_at !== null) {
      if (now >= this.#retry_at) this.#connect();
    } else if (!this.#greeted) {
      this.#tickBeforeHello(now);
    } else if (now - this.#heard_at > QUIET_MS) {
      this.#connect();
    }
  }

  // Nothing is said while a renewal is young; the browser's own reconnects (which keep the source) get their time too.
  #tickBeforeHello(now) {
    if (now - this.#opened_at <= HELLO_MS) return;
    this.#become({ kind: "lost" });
    if (this.state.phase === "busy") {
      if (now - this.#opened_at > 2 * LONGEST_RETRY_MS) this.#retryLater();
    } else {
      this.#retryLater();
    }
  }
}
