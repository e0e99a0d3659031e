import assert from "node:assert/strict";
import { test } from "node:test";

import { Changes } from "../../web/changes.js";

test("only changes are kept, newest first", () => {
  const changes = new Changes();
  for (const [at, value] of [
    [1, true],
    [2, true],
    [3, false],
    [4, false],
    [5, true],
  ])
    changes.add(at, value);
  assert.deepEqual(
    [
      [5, true],
      [3, false],
      [1, true],
    ],
    changes.newest_first.map(({ at, value }) => [at, value]),
  );
});

test("a late reading moves the change to where it began", () => {
  const changes = new Changes();
  for (const [at, value] of [
    [1, "a"],
    [5, "b"],
    [3, "b"],
  ])
    changes.add(at, value);
  assert.deepEqual(
    [
      [3, "b"],
      [1, "a"],
    ],
    changes.newest_first.map(({ at, value }) => [at, value]),
  );
});

test("the table is bounded", () => {
  const changes = new Changes(3);
  for (let at = 0; at < 10; at += 1) changes.add(at, at % 2 === 0);
  assert.deepEqual(
    [9, 8, 7],
    changes.newest_first.map(({ at }) => at),
  );
});
