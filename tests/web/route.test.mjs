import assert from "node:assert/strict";
import { test } from "node:test";

import { deviceHash, parse } from "../../web/route.js";

test("any name survives the address", () => {
  for (const device of [
    "boiler",
    "kitchen/fridge",
    "<img src=x onerror=alert(1)>",
    "__proto__",
    "a b%#?&",
    "größe 🌡",
  ]) {
    assert.deepEqual({ device }, parse(deviceHash(device)));
  }
});

test("anything else is the list", () => {
  for (const hash of ["", "#", "#/", "#views", "#/device/%E0%A4%A"]) assert.deepEqual({}, parse(hash));
});
