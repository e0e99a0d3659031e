import assert from "node:assert/strict";
import { test } from "node:test";

import { Bands } from "../../web/bands.js";

const table = (bands) => bands.columns.map((column) => [...column]);

test("readings of one span become its mean, lowest and highest", () => {
  const bands = new Bands(10);
  for (const [at, value] of [
    [0, 1],
    [5, 3],
    [9, 8],
    [10, 7],
  ])
    bands.add(at, value);
  assert.deepEqual(
    [
      [5, 15],
      [4, 7],
      [1, 7],
      [8, 7],
    ],
    table(bands),
  );
});

test("live readings go on in the bucket that the history began", () => {
  const bands = new Bands(10, { origin: 3 });
  bands.fold(13, { min: 2, mean: 4, max: 6, count: 3 });
  bands.add(20, 8);
  assert.deepEqual([[18], [5], [2], [8]], table(bands));
});

test("spans are bounded: the oldest goes, what is older still is counted", () => {
  const bands = new Bands(1, { limit: 2 });
  for (const at of [1, 2, 3, 0]) bands.add(at, at);
  assert.deepEqual([2, 3], table(bands)[1]);
  assert.equal(1, bands.dropped_total);
});

test("a late reading finds its span", () => {
  const bands = new Bands(10);
  for (const [at, value] of [
    [0, 0],
    [20, 2],
    [11, 1],
  ])
    bands.add(at, value);
  assert.deepEqual([0, 1, 2], table(bands)[1]);
});

test("the mean of equal values is that value", () => {
  const bands = new Bands(100);
  for (let at = 0; at < 100; at += 1) bands.add(at, 24.7);
  assert.deepEqual([[50], [24.7], [24.7], [24.7]], table(bands));
});
