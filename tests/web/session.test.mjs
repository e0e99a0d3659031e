import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { NotReadyError } from "../../web/api.js";
import { Session } from "../../web/session.js";

let take;
let started;
let joins;
let answers;
let page;
let session;

const settle = async () => {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
};
const entries = (...positions) =>
  take({ kind: "entries", entries: positions.map((position) => ({ event: "reading", position, data: {} })) });
const gap = (position) => take({ kind: "entries", entries: [{ event: "gap", position, data: { reason: "expired" } }] });
const answer = async (position) => {
  answers.shift().resolve({ position, time: Date.now(), devices: [] });
  await settle();
};

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(console, "warn", () => {});
  [started, joins, answers] = [[], 0, []];
  page = { seen: [], snapshots: 0, gaps: 0, gap_ends: 0, states: [], alerts: [], readiness: [] };
  session = new Session(
    (taker) => {
      take = taker;
      return {
        isJoined: true,
        join: () => (joins += 1),
        leave() {},
        check() {},
        start: (position) => started.push(position),
      };
    },
    () => new Promise((resolve, reject) => answers.push({ resolve, reject })),
    {
      snapshot: () => (page.snapshots += 1),
      reading: (_reading, position) => page.seen.push(position),
      device() {},
      alert: ({ dropped }) => page.alerts.push(dropped),
      gateway: ({ status }) => page.readiness.push(status),
      gap: () => (page.gaps += 1),
      gapEnd: () => (page.gap_ends += 1),
      state: (state) => page.states.push(state.phase),
    },
  );
  session.join();
});

test("what came while the snapshot was under way is applied after it, once, from its position", async () => {
  entries(8, 9, 10, 11, 12);
  assert.deepEqual([], page.seen);
  await answer(10);
  entries(12, 13);
  assert.deepEqual([11, 12, 13], page.seen);
  assert.deepEqual([10], started);
});

test("a link that began above the snapshot's position asks for a newer snapshot, so nothing is missed", async () => {
  await answer(10);
  take({ kind: "started", since: 15 });
  entries(16, 17);
  assert.deepEqual([], page.seen);
  await answer(14); // Still too old.
  mock.timers.tick(2_000);
  await settle();
  await answer(16);
  assert.deepEqual([17], page.seen);
  assert.equal(2, page.snapshots);
});

test("after a gap the snapshot is loaded again, also when the numbers are lower", async () => {
  await answer(100);
  entries(101);
  gap(50);
  entries(51, 52, 53);
  await answer(52);
  assert.deepEqual([1, 1], [page.gaps, page.gap_ends]);
  assert.deepEqual([101, 53], page.seen);
});

test("a gap while a snapshot is under way makes that snapshot void", async () => {
  entries(1);
  gap(50);
  const [old] = answers;
  old.resolve({ position: 2, time: 0, devices: [] });
  await settle();
  assert.equal(0, page.snapshots);
  answers.shift();
  await answer(55);
  assert.equal(1, page.snapshots);
});

test("a gateway that does not answer is told as a lost connection, and asked again", async () => {
  answers.shift().reject(new Error("503"));
  await settle();
  assert.equal("disconnected", session.state.phase);
  mock.timers.tick(2_000);
  await settle();
  await answer(10);
  assert.notEqual("disconnected", session.state.phase);
  assert.equal(1, page.snapshots);
});

test("a gateway that starts is told as that, asked again soon each time, and told apart from one that is lost", async () => {
  for (let i = 0; i < 5; i += 1) {
    answers.shift().reject(new NotReadyError("reading the log"));
    await settle();
    assert.deepEqual({ phase: "starting", why: "reading the log" }, session.state);
    mock.timers.tick(1_500);
    await settle();
  }
  answers.shift().reject(new Error("gone"));
  await settle();
  assert.equal("disconnected", session.state.phase);
  mock.timers.tick(3_500);
  await settle();
  await answer(10);
  assert.deepEqual(["starting", "disconnected", "connecting"], page.states);
  assert.deepEqual([10], started);
});

test("a tab that the hub let go joins again", async () => {
  await answer(10);
  take({ kind: "dropped" });
  await answer(20);
  entries(15, 21);
  assert.equal(2, joins);
  assert.deepEqual([21], page.seen);
});

test("what is held is bounded, and what was let go is covered by a newer snapshot", async () => {
  entries(...Array.from({ length: 20_001 }, (_, i) => i + 1));
  entries(20_002);
  await answer(5);
  assert.equal(0, page.snapshots);
  mock.timers.tick(2_000);
  await settle();
  await answer(20_001);
  assert.deepEqual([20_002], page.seen);
});

test("an alert is an entry: held, ordered and never taken twice", async () => {
  const alert = (position, dropped) =>
    take({ kind: "entries", entries: [{ event: "alert", position, data: { device: "a", dropped } }] });
  alert(9, 1);
  alert(11, 2);
  await answer(10);
  alert(11, 2);
  alert(12, 3);
  assert.deepEqual([2, 3], page.alerts);
});

test("what stands in the way is no entry: told at once, also while a snapshot is under way", () => {
  take({ kind: "entries", entries: [{ event: "gateway", data: { status: "not ready", faults: {}, warnings: {} } }] });
  assert.deepEqual(["not ready"], page.readiness);
});
