import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { History, RANGES } from "../../web/history.js";

const raw = RANGES.find(({ key }) => key === "15m");
const long = RANGES.find(({ key }) => key === "1h");
const settle = async () => {
  for (let i = 0; i < 10; i += 1) await Promise.resolve();
};
const reading = (at, values = { t: at }) => ({ device: "a", at, values });
const ys = (history, name = "t") => [...history.numbers.get(name).columns[1]];

let asked;
const begin = (range, textual) => {
  const history = new History(
    "a",
    range,
    (_device, parameters) => new Promise((resolve, reject) => asked.push({ parameters, resolve, reject })),
    () => {},
  );
  history.load(textual);
  return history;
};

beforeEach(() => {
  asked = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(console, "warn", () => {});
});

test("history and live join without a hole and without a double point", async () => {
  const history = begin(raw);
  for (const position of [8, 9, 10, 11]) history.take(reading(position), position);
  asked[0].resolve({ position: 10, complete: true, readings: [7, 8, 9, 10].map((at) => ({ id: at, ...reading(at) })) });
  await settle();
  history.take(reading(12), 12);
  assert.deepEqual([7, 8, 9, 10, 11, 12], ys(history));
});

test("a stream that is behind the history brings nothing twice", async () => {
  const history = begin(raw);
  asked[0].resolve({ position: 10, complete: true, readings: [9, 10].map((at) => ({ id: at, ...reading(at) })) });
  await settle();
  for (const position of [9, 10, 11]) history.take(reading(position), position);
  assert.deepEqual([9, 10, 11], ys(history));
});

test("a long range goes on in the buckets of its history", async () => {
  const history = begin(long);
  const bucket = { at: 1_000, until: 7_000, values: { t: { min: 1, mean: 2, max: 3, count: 1 } } };
  asked[0].resolve({ position: 10, complete: true, buckets: [bucket] });
  await settle();
  history.take(reading(6_999, { t: 4 }), 11);
  history.take(reading(7_000, { t: 9 }), 12);
  assert.deepEqual([3, 9], ys(history));
});

test("in a long range numbers and texts each join at the position of their own answer", async () => {
  const history = begin(long, ["door"]);
  history.take(reading(5, { t: 5, door: true }), 5);
  asked[0].resolve({ position: 4, complete: true, buckets: [] });
  asked[1].resolve({ position: 5, complete: true, readings: [{ id: 5, ...reading(5, { door: true }) }] });
  await settle();
  assert.deepEqual([5], ys(history));
  assert.deepEqual([{ at: 5, value: true }], history.changes.get("door").newest_first);
  assert.deepEqual(
    [
      ["since", "1h"],
      ["limit", 2_000],
      ["metric", "door"],
    ],
    asked[1].parameters,
  );
});

test("a history that could not be loaded is asked for again, and nothing that came meanwhile is lost", async () => {
  const history = begin(raw);
  asked[0].reject(new Error("503"));
  await settle();
  assert.equal("failed", history.state);
  history.take(reading(11), 11);
  mock.timers.tick(5_000);
  history.take(reading(12), 12);
  asked[1].resolve({ position: 11, complete: true, readings: [{ id: 11, ...reading(11) }] });
  await settle();
  assert.deepEqual([11, 12], ys(history));
});

test("a device that nobody knows yet begins with its first reading", async () => {
  const history = begin(raw);
  asked[0].resolve(undefined);
  await settle();
  assert.equal("absent", history.state);
  history.take(reading(1), 1);
  history.take(reading(2), 2);
  assert.deepEqual([1, 2], ys(history));
});

test("a retained value is not drawn: nobody knows when it was measured", async () => {
  const history = begin(raw);
  asked[0].resolve({ position: 1, complete: true, readings: [{ id: 1, ...reading(1), retained: true }] });
  await settle();
  assert.equal(0, history.numbers.size);
  assert.equal(1, history.retained_total);
});

test("a device clock that is wrong is told", async () => {
  const history = begin(raw);
  asked[0].resolve({ position: 1, complete: true, readings: [{ id: 1, ...reading(1_000), received_at: 3_601_000 }] });
  await settle();
  assert.equal(3_600_000, history.skew_ms);
});
