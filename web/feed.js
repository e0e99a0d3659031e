// A tab's end of the hub: the shared worker's where the browser has one, else a hub of its own.

import { streamAddress } from "./api.js";
import { Hub } from "./hub.js";
import { Link } from "./link.js";

// The messages between tab and worker; raise it when they change, for a worker outlives an upgrade while a tab is open.
const PROTOCOL = 1;

const TICK_MS = 1_000;
// Three pings of the hub, in ticks of this page rather than in time: a frozen or sleeping page does not count.
const SILENCE_TICKS = 50;

export class Feed {
  #port = null;
  #take;
  #ownHub = null;
  #silent_ticks = 0;

  /** `take(message)` gets what hub.js says; `{kind: "dropped"}` too when the hub is gone. */
  constructor(take) {
    this.#take = take;
    setInterval(() => this.#tick(), TICK_MS);
  }

  get isJoined() {
    return this.#port !== null;
  }

  join() {
    this.leave();
    this.#silent_ticks = 0;
    const port = this.#connect();
    this.#port = port;
    port.onmessage = ({ data }) => {
      if (port !== this.#port) return;
      this.#silent_ticks = 0;
      if (data.kind === "dropped") this.#port = null;
      else if (data.kind !== "started") port.postMessage({ kind: "heard" });
      this.#take(data);
    };
  }

  /** Says goodbye, so that the worker need not wait for silence. */
  leave() {
    this.#port?.postMessage({ kind: "leave" });
    this.#port = null;
  }

  start(position) {
    this.#port?.postMessage({ kind: "start", position });
  }

  check() {
    this.#port?.postMessage({ kind: "check" });
  }

  #connect() {
    if ("SharedWorker" in globalThis && !this.#ownHub) {
      try {
        return this.#shared();
      } catch {
        // Forbidden by a policy or by the browser's settings: an own connection does.
      }
    }
    this.#ownHub ??= new Hub((tell) => new Link(streamAddress, tell));
    const { port1, port2 } = new MessageChannel();
    this.#ownHub.join(port1);
    return port2;
  }

  #shared() {
    const worker = new SharedWorker(new URL("worker.js", import.meta.url), {
      type: "module",
      name: `sensor-gateway ${PROTOCOL}`,
    });
    const { port } = worker;
    // The worker's script did not load (an old browser without modules in workers, a proxy that lost a file).
    worker.onerror = () => {
      if (port !== this.#port) return;
      this.#ownHub ??= new Hub((tell) => new Link(streamAddress, tell));
      this.#lose();
    };
    return port;
  }

  #lose() {
    this.#port = null;
    this.#take({ kind: "dropped" });
  }

  #tick() {
    if (!this.#port) return;
    this.#silent_ticks += 1;
    if (this.#silent_ticks > SILENCE_TICKS) this.#lose();
  }
}
