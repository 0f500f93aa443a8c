/** @file Combinations of adapters that peft made, and the paper's own: logits of what we make of the same folders. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { combineAdapters, type CombineInput } from "../../src/export/combined/combine.ts";
import { readAdapter, readAdapterFolder } from "../../src/format/by-path.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { batchFromRows, logitsOf } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import {
  type GoldenBatch,
  assertLogits,
  assertRelative,
  goldenJson,
  goldenPath,
  goldenTensors,
} from "./golden-files.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

type Case = Omit<CombineInput, "adapters">;

/** The expression that each golden result stands for. */
const CASES: Readonly<Record<string, Readonly<Record<string, Case>>>> = {
  lora: {
    linear: { expression: "0.7*A + 0.3*B", type: "linear" },
    "linear-negative": { expression: "A - 0.5*B", type: "linear" },
    "linear-two-scales": { expression: "0.6*A + 0.5*D", type: "linear" },
    "linear-single": { expression: "0.6*A", type: "linear" },
    cat: { expression: "0.5*A + 0.3*B - 0.4*C" },
    svd: { expression: "0.7*A + 0.3*B", type: "svd" },
    "svd-rank3": { expression: "0.5*A + 0.3*B - 0.4*C", type: "svd", rank: 3 },
    "ties-total": { expression: "0.5*A + 0.4*B + 0.3*E", type: "ties", density: 0.5 },
    "ties-frequency": {
      expression: "0.5*A + 0.4*B - 0.3*E",
      type: "ties",
      density: 0.5,
      majority: "frequency",
    },
    "magnitude-prune": { expression: "0.7*A + 0.3*B", type: "magnitude-prune", density: 0.4 },
    "paper-add": { expression: "A + B", type: "paper" },
    "paper-add-uneven": { expression: "0.3*A + 0.7*B", type: "paper" },
    "paper-negate": { expression: "-A", type: "paper" },
    "paper-negate-scaled": { expression: "-0.7*A", type: "paper" },
    "paper-analogy": { expression: "0.9*A + 0.1*(B - E)", type: "paper" },
  },
  ia3: {
    average: { expression: "0.5*A + 0.5*B", type: "linear" },
    sum: { expression: "0.7*A + 0.6*B", type: "linear" },
    negative: { expression: "A - 0.4*B", type: "linear" },
    "paper-add-uneven": { expression: "0.3*A + 0.7*B", type: "paper" },
    "paper-negate": { expression: "-A", type: "paper" },
    "paper-negate-scaled": { expression: "-0.7*A", type: "paper" },
  },
};

/** Pairs of singular vectors have free signs: their tensors differ where the logits do not. */
const SAME_TENSORS = /^(?!svd|linear-single)/;

const engine = createEngine({ threads: 1 });
const { base } = await openUntilEnd(goldenPath("models", "llama"));
const folder = temporaryFolder();

function namesIn(expression: string): string[] {
  return [...new Set(expression.match(/[A-Z]/g))];
}

for (const [method, cases] of Object.entries(CASES)) {
  describe(`combined adapters of ${method}`, async () => {
    const golden = goldenJson<{ batch: GoldenBatch }>("algebra", method, "golden.json");
    const tensors = await goldenTensors("algebra", method, "golden.safetensors");
    const batch = batchFromRows(golden.batch);

    for (const [name, input] of Object.entries(cases)) {
      test(`${name}: ${input.expression}`, async () => {
        const adapters = Object.fromEntries(
          namesIn(input.expression).map((letter) => [letter, goldenPath("algebra", method, letter)]),
        );
        const output = `${folder}/${method}-${name}`;
        await (await combineAdapters({ ...input, adapters })).write(output);
        const { adapter } = await readAdapter(output, base);
        const expected = tensors.get(`logits.${name}`)!;
        assertLogits(
          await logitsOf(engine, base, adapter, batch),
          expected,
          golden.batch.attention_mask,
          5e-5,
        );
        if (!SAME_TENSORS.test(name)) return;
        const [own, reference] = [
          await readAdapterFolder(output),
          await readAdapterFolder(goldenPath("algebra", method, name)),
        ];
        assert.deepEqual([...own.tensors.keys()].sort(), [...reference.tensors.keys()].sort());
        for (const [key, { data }] of reference.tensors) {
          assertRelative(own.tensors.get(key)!.data, data, 1e-6, key);
        }
      });
    }
  });
}
