import assert from "node:assert/strict";
import { test } from "node:test";

import { Series } from "../../web/series.js";

const xs = (series) => [...series.columns[0]];

test("a late reading is put where it belongs", () => {
  const series = new Series();
  for (const [x, y] of [
    [1, 10],
    [3, 30],
    [2, 20],
    [0, 0],
    [4, 40],
  ])
    series.add(x, y);
  assert.deepEqual(
    [
      [0, 1, 2, 3, 4],
      [0, 10, 20, 30, 40],
    ],
    series.columns.map((column) => [...column]),
  );
});

test("two readings of the same moment are both kept, in the order they came", () => {
  const series = new Series();
  for (const y of [1, 2]) series.add(5, y);
  assert.deepEqual([1, 2], [...series.columns[1]]);
});

test("a full window lets go of the oldest", () => {
  const series = new Series(3);
  for (let x = 0; x < 10; x += 1) series.add(x, x);
  assert.deepEqual([7, 8, 9], xs(series));
});

test("what comes too late for a full window is dropped and counted", () => {
  const series = new Series(3);
  for (const x of [5, 6, 7, 1]) series.add(x, x);
  assert.deepEqual([5, 6, 7], xs(series));
  assert.equal(1, series.dropped_total);
});

test("any order of arrival gives the same ascending window, over many slides", () => {
  const series = new Series(700);
  const came = [];
  let seed = 1;
  for (let i = 0; i < 20_000; i += 1) {
    seed = (seed * 48_271) % 2_147_483_647;
    came.push(i * 10 - (seed % 200));
  }
  for (const x of came) series.add(x, -x);
  const kept = xs(series);
  assert.equal(700, kept.length);
  assert.deepEqual(
    [...kept].sort((a, b) => a - b),
    kept,
  );
  assert.deepEqual(
    kept.map((x) => -x),
    [...series.columns[1]],
  );
  assert.equal(Math.max(...came), kept.at(-1));
});
