/** @file A fixed sample of the matrix of families, methods and forms; `npm run test:matrix` runs all of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FAMILIES } from "../../src/models/families.ts";
import { COMPUTES } from "../../src/nn/computes.ts";
import { METHODS } from "../../src/peft/methods.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { describeCell } from "./cell.ts";
import { cells } from "./cells.ts";
import { FORMS } from "./forms.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();
const sample = cells("sample");

test("the sample has every family, every method, every form and every arithmetic", () => {
  const seen = (key: "family" | "method" | "form"): number => new Set(sample.map((cell) => cell[key])).size;
  assert.deepEqual(
    [seen("family"), seen("method"), seen("form")],
    [FAMILIES.length, METHODS.length, Object.keys(FORMS).length],
  );
  const computes = new Set(sample.flatMap((cell) => cell.computes));
  assert.equal(computes.size, Object.keys(COMPUTES).length - 1, "all but float32");
});

for (const cell of sample) describeCell(engine, folder, cell);
