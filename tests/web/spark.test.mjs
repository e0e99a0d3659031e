import assert from "node:assert/strict";
import { test } from "node:test";

import { sparkPath } from "../../web/spark.js";

test("a sparkline needs two points within its time", () => {
  assert.equal("", sparkPath([1, 99], [5, 5], 100, 10));
});

test("a value that hardly moves is drawn as hardly moving", () => {
  const heights = sparkPath([0, 50, 100], [1000, 1000.1, 1000], 100, 100)
    .slice(1)
    .split("L")
    .map((step) => Number(step.split(" ")[1]));
  assert.ok(Math.max(...heights) - Math.min(...heights) < 1);
});

test("the newest point is at the right", () => {
  assert.match(sparkPath([0, 100], [1, 2], 100, 100), /^M0\.0 25\.0L100\.0 3\.0$/);
});
