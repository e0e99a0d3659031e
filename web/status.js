// What the page says about its connection: one state, changed by what happened, told in one sentence. Pure.

import { formatClock, formatNumber } from "./format.js";

export const IDLE = Object.freeze({ phase: "connecting" });

// Event ids are not dense: each start of the gateway leaps by at least this, so a larger distance counts no entries.
const LEAP = 1_000_000;

/** The phase that each reason of a `bye` leads to; `tests/web/words.test.mjs` holds it to the gateway's own list. */
export const BYE_PHASES = new Map([
  ["stopping", "stopping"],
  ["busy", "busy"],
]);

/** The state after `event`, whose `kind` is one of those below. */
export function after(state, event) {
  switch (event.kind) {
    case "hello":
      if (event.position >= event.head) return { phase: "live" };
      return { phase: "replaying", behind: event.head - event.position, head: event.head };
    case "replayed":
      if (state.phase !== "replaying") return state;
      return { ...state, behind: Math.max(0, state.head - event.position) };
    case "live":
      return { phase: "live" };
    case "bye":
      return { phase: BYE_PHASES.get(event.reason) ?? "stopping", since: event.now };
    case "lost":
      if (state.phase === "disconnected" || state.phase === "busy") return state;
      return { phase: "disconnected", since: state.since ?? event.now, restarting: state.phase === "stopping" };
    default:
      throw new Error(`no such event: ${event.kind}`);
  }
}

/** True while what is on the page may be taken for the present. */
export function isLive(state) {
  return state.phase === "live" || state.phase === "replaying";
}

function disconnected({ since, restarting }, now_ms) {
  return `disconnected since ${formatClock(since, now_ms)}${restarting ? " (the gateway restarts)" : ""}, trying again`;
}

/** The sentence for the status line. */
export function sentence(state, now_ms = Date.now()) {
  switch (state.phase) {
    case "live":
      return "live";
    case "replaying":
      return state.behind > 0 && state.behind < LEAP
        ? `replaying… ${formatNumber(state.behind, 0)} behind`
        : "replaying…";
    case "stopping":
      return "stopping (the gateway restarts)";
    case "busy":
      return `busy: too many streams are open, trying again (since ${formatClock(state.since, now_ms)})`;
    case "starting":
      return `the gateway is starting: ${state.why}`;
    case "disconnected":
      return disconnected(state, now_ms);
    default:
      return "connecting…";
  }
}
