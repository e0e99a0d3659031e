import assert from "node:assert/strict";
import { test } from "node:test";

import { IDLE, after, isLive, sentence } from "../../web/status.js";

const at = new Date(2026, 4, 7, 12, 1, 3).getTime();
const told = (...events) => events.reduce(after, IDLE);
const said = (...events) => sentence(told(...events), at + 60_000);

test("a stream that starts at the head is live at once", () => {
  assert.equal("live", said({ kind: "hello", position: 7, head: 7 }));
});

test("a stream behind the head says how far", () => {
  const hello = { kind: "hello", position: 1_000, head: 3_500 };
  assert.equal("replaying… 2,500 behind", said(hello));
  assert.equal("replaying… 500 behind", said(hello, { kind: "replayed", position: 3_000 }));
  assert.equal("live", said(hello, { kind: "live" }));
});

test("a distance over a restart of the gateway is no count", () => {
  assert.equal("replaying…", said({ kind: "hello", position: 0, head: 5_000_000 }));
});

test("a lost connection says since when, however often it is lost again", () => {
  const events = [{ kind: "live" }, { kind: "lost", now: at }, { kind: "lost", now: at + 5_000 }];
  assert.equal("disconnected since 12:01:03, trying again", said(...events));
  assert.equal(false, isLive(told(...events)));
});

test("a gateway that stops says so before and after the connection ends", () => {
  const bye = { kind: "bye", reason: "stopping", now: at };
  assert.equal("stopping (the gateway restarts)", said(bye));
  assert.equal(
    "disconnected since 12:01:03 (the gateway restarts), trying again",
    said(bye, { kind: "lost", now: at + 9 }),
  );
});

test("a busy gateway is told apart from a lost one", () => {
  const events = [
    { kind: "bye", reason: "busy", now: at },
    { kind: "lost", now: at + 9 },
  ];
  assert.match(said(...events), /^busy: too many streams/);
});

test("a gateway that starts says what it does", () => {
  const state = { phase: "starting", why: "reading the log to learn of its devices" };
  assert.equal("the gateway is starting: reading the log to learn of its devices", sentence(state));
  assert.equal(false, isLive(state));
});
