import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Link } from "../../web/link.js";

// A browser's EventSource as far as a link can see it.
class Source {
  static CLOSED = 2;
  static all = [];

  readyState = 1;
  #takers = new Map();

  constructor(address) {
    this.address = address;
    Source.all.push(this);
  }

  addEventListener(type, take) {
    this.#takers.set(type, take);
  }

  close() {
    this.readyState = Source.CLOSED;
  }

  fire(type, id, data) {
    this.#takers.get(type)({ lastEventId: String(id ?? ""), data: JSON.stringify(data) });
  }

  hello(position, head = position) {
    this.fire("hello", position, { position, floor: 0, head, time: 1, mode: "every" });
  }

  break({ forGood }) {
    this.readyState = forGood ? Source.CLOSED : 0;
    this.#takers.get("error")({});
  }
}

let clock;
let tick;
let told;
let link;
const newest = () => Source.all.at(-1);
const pass = (seconds) => {
  for (let i = 0; i < seconds; i += 1) {
    clock += 1_000;
    tick?.();
  }
};
const positions = () => told.filter(({ event }) => event === "reading").map(({ position }) => position);

beforeEach(() => {
  clock = 1_000_000;
  told = [];
  Source.all = [];
  link = new Link(
    (position) => `after=${position}`,
    (entry) => told.push(entry),
    {
      EventSource: Source,
      now: () => clock,
      random: () => 0.5,
      setInterval: (run) => ((tick = run), 1),
      clearInterval: () => (tick = null),
    },
  );
  link.open(10);
});

test("the stream starts at the position it was opened with", () => {
  assert.equal("after=10", newest().address);
});

test("an entry that was had already is dropped", () => {
  newest().hello(10);
  for (const id of [11, 12, 12, 11, 13]) newest().fire("message", id, { id });
  assert.deepEqual([11, 12, 13], positions());
});

test("a source that gave up is replaced at the last position, later each time, with jitter", () => {
  newest().hello(10);
  newest().fire("message", 42, {});
  newest().break({ forGood: true });
  assert.equal("disconnected", link.state.phase);
  const waits = [];
  for (let i = 0; i < 7; i += 1) {
    const before = Source.all.length;
    let seconds = 0;
    while (Source.all.length === before) {
      pass(1);
      seconds += 1;
    }
    waits.push(seconds);
    newest().break({ forGood: true });
  }
  assert.deepEqual([1, 2, 4, 8, 16, 30, 30], waits);
  assert.equal("after=42", newest().address);
});

test("a source that reconnects by itself is left alone while it tries", () => {
  newest().hello(10);
  for (let i = 0; i < 10; i += 1) {
    newest().break({ forGood: false });
    pass(5);
  }
  assert.equal(1, Source.all.length);
  newest().hello(10);
  assert.equal("live", link.state.phase);
});

test("a quiet stream is renewed, and nobody is alarmed unless no hello comes", () => {
  newest().hello(10);
  pass(61);
  assert.equal(2, Source.all.length);
  assert.equal("live", link.state.phase);
  newest().hello(10);
  pass(30);
  assert.equal("live", link.state.phase);
  pass(42);
  assert.equal("disconnected", link.state.phase);
});

test("a closed source's late events are ignored", () => {
  const first = newest();
  first.hello(10);
  pass(61);
  first.fire("message", 11, {});
  newest().hello(10);
  newest().fire("message", 11, {});
  assert.deepEqual([11], positions());
});

test("after ahead the numbers of the new log count, though they are lower", () => {
  newest().hello(10);
  newest().fire("gap", 5, { asked: 10, floor: 1, head: 5, reason: "ahead" });
  newest().fire("message", 6, {});
  assert.deepEqual([6], positions());
});

test("a check opens a new source when the connection is lost or in doubt, else not", () => {
  newest().hello(10);
  link.check();
  assert.equal(1, Source.all.length);
  clock += 46_000;
  link.check();
  assert.equal(2, Source.all.length);
});

test("a busy gateway is not asked again before a minute", () => {
  newest().fire("bye", null, { reason: "busy" });
  newest().break({ forGood: false });
  pass(59);
  assert.equal(1, Source.all.length);
  assert.equal("busy", link.state.phase);
});

test("a replay that is too long ends in asking for everything anew", () => {
  newest().hello(10, 1_000_000);
  for (let id = 11; id < 20_020; id += 1) newest().fire("message", id, {});
  assert.equal("far", told.at(-1).event);
  assert.equal(false, link.isOpen);
});

const FAULT = { status: "not ready", faults: { ingest: "no broker" }, warnings: {} };
const readiness = () => told.filter(({ event }) => event === "gateway").map(({ data }) => data.status);

test("what stands in the way stays until the next connection says what is true now", () => {
  newest().hello(10);
  newest().fire("gateway", "", FAULT);
  newest().break({ forGood: false });
  newest().hello(10);
  assert.deepEqual(["not ready"], readiness());
  newest().fire("live", "", { position: 10 });
  assert.deepEqual(["not ready", "ready"], readiness());
});

test("a fault that is still there is never taken away in between", () => {
  for (let i = 0; i < 3; i += 1) {
    newest().hello(10);
    newest().fire("gateway", "", FAULT);
    newest().fire("live", "", { position: 10 });
    newest().fire("message", 11 + i, {});
    newest().break({ forGood: i === 0 });
    pass(2);
  }
  assert.deepEqual(["not ready", "not ready", "not ready"], readiness());
});

for (const [what, fire] of [
  ["live", (source) => source.fire("live", "", { position: 10 })],
  ["an entry", (source) => source.fire("message", 11, {})],
  ["an entry that was had already", (source) => source.fire("device", 9, {})],
  ["a heartbeat", (source) => source.fire("heartbeat", 10, { position: 10, time: 1 })],
  ["a gap", (source) => source.fire("gap", 12, { reason: "expired" })],
]) {
  test(`${what} after hello shows that nothing stands in the way, once`, () => {
    newest().hello(10);
    assert.deepEqual([], readiness());
    fire(newest());
    fire(newest());
    assert.deepEqual(["ready"], readiness());
  });
}

test("a bye says nothing of what stands in the way", () => {
  newest().hello(10);
  newest().fire("bye", "", { reason: "stopping" });
  assert.deepEqual([], readiness());
});

test("an alert is an entry with a position", () => {
  link.open(10);
  newest().hello(10);
  newest().fire("alert", 11, { device: "a", alert: "overflow", dropped: 5, since: 1 });
  newest().fire("alert", 11, { device: "a", alert: "overflow", dropped: 5, since: 1 });
  assert.equal(1, told.filter(({ event }) => event === "alert").length);
  assert.equal(11, link.position);
});
