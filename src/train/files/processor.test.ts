import assert from "node:assert/strict";
import { test } from "node:test";
import { describeProcessor } from "./processor.ts";

test("processors of one name are told apart by family and model, where the system knows them", () => {
  const facts = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\n";
  assert.equal(describeProcessor("AMD EPYC ", facts), "AMD EPYC (family 25, model 1)");
  assert.equal(describeProcessor("Apple M2", ""), "Apple M2");
  assert.equal(describeProcessor("Neoverse", "processor\t: 0\nCPU part\t: 0xd0c\n"), "Neoverse");
  assert.equal(describeProcessor("", ""), "unknown");
  assert.match(describeProcessor(), /\S/);
});
