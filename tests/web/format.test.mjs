import assert from "node:assert/strict";
import { test } from "node:test";

import { decimalsOf, formatAge, formatClock, formatNumber, formatValue } from "../../web/format.js";

test("a number shows the digits that its size makes worth showing", () => {
  const shown = [61.5, 21.456789, 1013.25, 0.12345, 87, 101325].map((value) => formatNumber(value));
  assert.deepEqual(["61.5", "21.46", "1,013.3", "0.123", "87", "101,325"], shown);
});

test("a number keeps the digits it was told to, so that its width is steady", () => {
  assert.equal("21.0", formatNumber(21, decimalsOf(21.5)));
});

test("zero has no sign", () => {
  assert.equal("0.0", formatNumber(-0.01, 1));
  assert.equal("-0.1", formatNumber(-0.06, 1));
});

test("very large and very small numbers are written with an exponent", () => {
  assert.equal("1.20e-5", formatNumber(0.000012));
  assert.equal("1.20e+15", formatNumber(1.2e15));
});

test("a boolean is on or off, a text is itself up to a limit", () => {
  assert.deepEqual(
    ["on", "off", "auto"],
    [true, false, "auto"].map((value) => formatValue(value)),
  );
  assert.equal(121, formatValue("x".repeat(10_000)).length);
});

test("an age is told in its largest whole unit, and never in the future", () => {
  const shown = [-5_000, 400, 3_900, 59_999, 60_000, 7_300_000, 200_000_000].map(formatAge);
  assert.deepEqual(["just now", "just now", "3 s ago", "59 s ago", "1 min ago", "2 h ago", "2 days ago"], shown);
});

test("a clock shows the date when it is not today's", () => {
  const noon = new Date(2026, 4, 7, 12, 0, 9).getTime();
  assert.equal("12:00:09", formatClock(noon, noon + 1_000));
  assert.equal("2026-05-07 12:00:09", formatClock(noon, noon + 86_400_000));
});
