import assert from "node:assert/strict";
import { test } from "node:test";

import { Devices, compareNames } from "../../web/devices.js";

const known = (device, values = {}, more = {}) => ({ device, status: "online", since: 1, values, ...more });

test("a device called __proto__ is a device like any other", () => {
  const devices = new Devices();
  devices.replace(
    JSON.parse('[{"device":"__proto__","status":"online","since":1,"values":{"__proto__":{"value":1,"at":5}}}]'),
  );
  assert.equal(1, devices.get("__proto__").metrics.get("__proto__").value);
  assert.equal(undefined, devices.get("toString"));
  assert.equal(undefined, {}.value);
});

test("a snapshot is all there is", () => {
  const devices = new Devices();
  devices.replace([known("a"), known("b")]);
  devices.replace([known("b")]);
  assert.deepEqual(
    ["b"],
    [...devices].map(({ name }) => name),
  );
});

test("a delayed reading does not replace a newer value, as in the gateway", () => {
  const device = new Devices().meet("a");
  device.read({ at: 100, values: { t: 1 } });
  device.read({ at: 50, received_at: 120, values: { t: 2 } });
  assert.equal(1, device.metrics.get("t").value);
  assert.equal(120, device.arrived_at);
});

test("a retained value has no age, and any later reading replaces it", () => {
  const device = new Devices().meet("a");
  device.read({ at: 100, values: { t: 1 }, retained: true });
  assert.equal(undefined, device.arrived_at);
  device.read({ at: 90, values: { t: 2 } });
  assert.equal(2, device.metrics.get("t").value);
  assert.equal(false, device.metrics.get("t").retained);
});

test("a device event describes without touching values", () => {
  const device = new Devices().meet("a");
  device.read({ at: 100, values: { t: 1 } });
  device.describe({
    device: "a",
    status: "offline",
    since: 9,
    label: "A",
    metrics: { t: { unit: "Cel", label: "Air" } },
  });
  assert.deepEqual(
    ["offline", "A", "Cel", "Air", 1],
    [
      device.status,
      device.title,
      device.metrics.get("t").unit,
      device.metrics.get("t").title,
      device.metrics.get("t").value,
    ],
  );
});

test("names are ordered as people order them, and steadily", () => {
  const names = ["room-10", "Room-2", "room-2", "attic"];
  assert.deepEqual(["attic", "Room-2", "room-2", "room-10"], names.sort(compareNames));
});

test("history fills a trend only before the first live reading", () => {
  const device = new Devices().meet("a");
  device.read({ at: 100_000, values: { t: 5 } });
  const bucket = (at, mean) => ({ at, until: at + 5_000, values: { t: { min: mean, mean, max: mean, count: 1 } } });
  device.recall([bucket(80_000, 1), bucket(90_000, 2), bucket(100_000, 3)]);
  assert.deepEqual([1, 2, 5], [...device.metrics.get("t").trend.columns[1]]);
});
