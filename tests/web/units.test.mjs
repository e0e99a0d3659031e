import assert from "node:assert/strict";
import { test } from "node:test";

import { family, written } from "../../web/units.js";

test("a SenML code is written as people write it", () => {
  assert.deepEqual(["°C", "%", "Ω", "m³", ""], ["Cel", "%RH", "Ohm", "m3", "/"].map(written));
});

test("an unknown unit is shown as it came, a missing one as nothing", () => {
  assert.equal("furlong", written("furlong"));
  assert.equal("", written(undefined));
});

test("units of one quantity share a family", () => {
  assert.equal(family("Cel"), family("K"));
  assert.equal("other", family("furlong"));
  assert.equal("other", family(undefined));
});
