// Whatever the gateway can give as a reason, the page has words for: the lists are read from the gateway's own types.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { REASONS } from "../../web/gaps.js";
import { FAULT_LEADS } from "../../web/readiness.js";
import { BYE_PHASES, IDLE, after, sentence } from "../../web/status.js";

const source = readFileSync(new URL("../../gateway/reading.py", import.meta.url), "utf-8");
const listed = (name) => {
  const [, names] = source.match(new RegExp(`^${name} = Literal\\[([^\\]]*)\\]`, "m"));
  return names.match(/"\w+"/g).map((each) => each.slice(1, -1));
};

test("every reason of a gap has words of its own", () => {
  assert.deepEqual(listed("GapReason").sort(), [...REASONS.keys()].sort());
  assert.equal(REASONS.size, new Set(REASONS.values()).size);
});

test("every station of a fault has words of its own", () => {
  assert.deepEqual(listed("Station").sort(), [...FAULT_LEADS.keys()].sort());
  assert.equal(FAULT_LEADS.size, new Set(FAULT_LEADS.values()).size);
});

test("every reason of a bye has a sentence of its own", () => {
  const reasons = listed("ByeReason");
  assert.deepEqual(reasons.sort(), [...BYE_PHASES.keys()].sort());
  const sentences = reasons.map((reason) => sentence(after(IDLE, { kind: "bye", reason, now: 0 })));
  assert.equal(reasons.length, new Set(sentences).size);
  assert.ok(!sentences.includes(sentence(IDLE)));
});
