import assert from "node:assert/strict";
import { test } from "node:test";

import { Alerts, alertSentence } from "../../web/alerts.js";

const noon = new Date(2026, 4, 7, 12, 0, 0).getTime();
const alert = (device, dropped, since = noon) => ({ device, alert: "overflow", dropped, since });

test("what one device lost is added up from where it began", () => {
  const alerts = new Alerts();
  alerts.take(alert("pump", 1000));
  alerts.take(alert("pump", 560, noon + 5_000));
  assert.equal(
    "pump sends faster than can be kept: 1,560 readings dropped since 12:00:00",
    alertSentence(alerts.items[0], noon),
  );
});

test("one reading is one reading", () => {
  const alerts = new Alerts();
  alerts.take(alert("pump", 1));
  assert.match(alertSentence(alerts.items[0], noon), / 1 reading dropped /);
});

test("after a dismissal it counts anew", () => {
  const alerts = new Alerts();
  alerts.take(alert("pump", 1000));
  alerts.items[0].dismissed = true;
  alerts.take(alert("pump", 7, noon + 9_000));
  assert.deepEqual([{ device: "pump", dropped: 7, since: noon + 9_000, dismissed: false }], alerts.items);
});

test("devices that never end do not grow it, and the oldest goes first", () => {
  const alerts = new Alerts();
  for (let i = 0; i < 100; i += 1) alerts.take(alert(`d${i}`, 1));
  assert.equal(20, alerts.items.length);
  assert.equal("d99", alerts.items.at(-1).device);
});
