import assert from "node:assert/strict";
import { test } from "node:test";

import { CLEAR, lines } from "../../web/readiness.js";

test("nothing is said when all is well", () => assert.deepEqual([], lines(CLEAR)));

test("faults come before warnings", () => {
  const said = { status: "not ready", faults: { ingest: "no broker" }, warnings: { ingest: "a short queue" } };
  assert.deepEqual(
    [
      { kind: "fault", text: "No readings come in: no broker" },
      { kind: "warning", text: "Readings may be lost: a short queue" },
    ],
    lines(said),
  );
});
