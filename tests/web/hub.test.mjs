import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Hub } from "../../web/hub.js";

class FakeLink {
  position = null;
  isOpen = false;
  opened_total = 0;

  constructor(tell) {
    this.tell = tell;
  }

  open(position) {
    this.position = position;
    this.isOpen = true;
    this.opened_total += 1;
  }

  close() {
    this.position = null;
    this.isOpen = false;
  }

  read(position) {
    this.position = position;
    this.tell({ event: "reading", position, data: {} });
  }

  check() {}
}

class Port {
  got = [];

  postMessage(message) {
    this.got.push(message);
  }

  say(message) {
    this.onmessage?.({ data: message });
  }

  get positions() {
    return this.got.flatMap(({ entries = [] }) => entries).map(({ position }) => position);
  }
}

let link;
let hub;
const join = () => {
  const port = new Port();
  hub.join(port);
  return port;
};

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  hub = new Hub((tell) => (link = new FakeLink(tell)));
});

test("several tabs share one link, and each gets every entry", () => {
  const [one, two] = [join(), join()];
  one.say({ kind: "start", position: 10 });
  two.say({ kind: "start", position: 12 });
  for (const position of [11, 12, 13]) link.read(position);
  mock.timers.tick(100);
  assert.equal(1, link.opened_total);
  assert.deepEqual([11, 12, 13], one.positions);
  assert.deepEqual([11, 12, 13], two.positions);
});

test("a tab is told from where it has everything", () => {
  const one = join();
  one.say({ kind: "start", position: 10 });
  link.read(15);
  const two = join();
  two.say({ kind: "start", position: 14 });
  const since = ({ got }) => got.find(({ kind }) => kind === "started").since;
  assert.equal(10, since(one));
  assert.equal(15, since(two));
});

test("entries go in batches", () => {
  const one = join();
  one.say({ kind: "start", position: 0 });
  for (let position = 1; position <= 100; position += 1) link.read(position);
  mock.timers.tick(100);
  assert.equal(100, one.positions.length);
  assert.ok(one.got.length < 5);
});

test("the link closes with the last tab, and opens again for the next", () => {
  const [one, two] = [join(), join()];
  one.say({ kind: "start", position: 10 });
  one.say({ kind: "leave" });
  assert.equal(true, link.isOpen);
  two.say({ kind: "leave" });
  assert.equal(false, link.isOpen);
  join().say({ kind: "start", position: 20 });
  assert.equal(2, link.opened_total);
});

test("a tab that answers no ping is dropped, one that does stays", () => {
  const [dead, alive] = [join(), join()];
  alive.say({ kind: "start", position: 10 });
  for (let i = 0; i < 6; i += 1) {
    mock.timers.tick(15_000);
    alive.say({ kind: "heard" });
  }
  link.read(11);
  mock.timers.tick(100);
  assert.equal("dropped", dead.got.at(-1).kind);
  assert.deepEqual([11], alive.positions);
});

test("a frozen tab does not gather entries without end", () => {
  const frozen = join();
  frozen.say({ kind: "start", position: 0 });
  for (let position = 1; position <= 30_000; position += 1) link.read(position);
  assert.equal("dropped", frozen.got.at(-1).kind);
  assert.ok(frozen.positions.length <= 20_000);
  assert.equal(false, link.isOpen);
});

test("a tab that acknowledges gets any number", () => {
  const port = join();
  port.say({ kind: "start", position: 0 });
  for (let position = 1; position <= 30_000; position += 1) {
    link.read(position);
    while (port.heard < port.got.length) (port.say({ kind: "heard" }), (port.heard += 1));
    port.heard ??= 0;
  }
  mock.timers.tick(100);
  assert.equal(30_000, port.positions.length);
});

test("a new tab learns the state of the link at once", () => {
  join().say({ kind: "start", position: 0 });
  link.tell({ event: "state", state: { phase: "live" } });
  assert.deepEqual({ phase: "live" }, join().got[0].entries[0].state);
});

test("a tab that joins late learns what stands in the way", () => {
  const first = join();
  first.say({ kind: "start", position: 10 });
  link.tell({ event: "gateway", data: { status: "not ready" } });
  const late = join();
  const told = late.got.flatMap(({ entries = [] }) => entries).filter(({ event }) => event === "gateway");
  assert.deepEqual([{ status: "not ready" }], told.map(({ data }) => data));
});
