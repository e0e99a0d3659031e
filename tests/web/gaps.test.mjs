import assert from "node:assert/strict";
import { test } from "node:test";

import { Gaps, firstAfter, gapSentence, holes } from "../../web/gaps.js";

const noon = new Date(2026, 4, 7, 12, 0, 0).getTime();

test("a gap begins at the last reading before it and ends at the first one after it", () => {
  const gaps = new Gaps();
  gaps.open("expired", noon + 63_000, noon + 300_000);
  gaps.end(noon + 250_000);
  gaps.end(noon + 251_000);
  assert.equal("12:01:03 to 12:04:10 is gone: expired", gapSentence(gaps.spans[0], noon));
});

test("a line is cut where a gap is", () => {
  const cut = holes([{ from: 25, to: 45 }], [10, 20, 50, 60], (x) => x * 2);
  assert.deepEqual([[40, 100]], cut);
});

test("a line is not cut where there are points after all, nor before or after all points", () => {
  assert.deepEqual(
    [],
    holes([{ from: 25, to: 45 }], [10, 20, 30, 50], (x) => x),
  );
  assert.deepEqual(
    [],
    holes(
      [
        { from: 1, to: 5 },
        { from: 60, to: 70 },
      ],
      [10, 50],
      (x) => x,
    ),
  );
});

test("gaps are bounded", () => {
  const gaps = new Gaps();
  for (let i = 0; i < 100; i += 1) {
    gaps.open("expired", i, i);
    gaps.end(i);
  }
  assert.equal(20, gaps.spans.length);
});

test("a gap that goes on in another is one", () => {
  const gaps = new Gaps();
  gaps.open("expired", 10, 20);
  gaps.open("corrupt", 10, 30);
  gaps.end(40);
  assert.deepEqual(
    [[10, 40]],
    gaps.spans.map(({ from, to }) => [from, to]),
  );
});

test("the first greater x is found by bisection", () => {
  assert.deepEqual(
    [0, 1, 2, 3],
    [0, 10, 25, 30].map((x) => firstAfter([10, 20, 30], x)),
  );
});
