/** @file The program of several blocks: what is put together, and that nothing else changes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { type ProgramSpec, nodesOf } from "../../graph/program.ts";
import { PLAIN_PART } from "../../models/graphs/part-options.ts";
import type { Matrix } from "../../nn/compute.ts";
import { int8ForwardProduct } from "../../nn/products/int8-product.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { stackSpec } from "./stack-spec.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";

const path = await writeTinyModel(join(temporaryFolder(), "stacked"), { config: { num_hidden_layers: 3 } });
const { base } = await openUntilEnd(path);

const options = { ...PLAIN_PART, cache: "tokens" as const };
const blocks = [0, 1, 2].map((layer) => base.model.buildBlock(layer, options));

function countOps(spec: ProgramSpec): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of nodesOf(spec)) counts[op.name] = (counts[op.name] ?? 0) + 1;
  return counts;
}

test("sums of the residual stream are computed with the norms that read them, also from block to block", () => {
  const { addRmsNorm, rmsNorm, add } = countOps(stackSpec(blocks, "pages"));
  // The first block normalises what is given, and the last one's sum is the result.
  assert.deepEqual({ addRmsNorm, rmsNorm, add }, { addRmsNorm: 5, rmsNorm: 1, add: 1 });
});

test("keys and values are neither cut nor turned where no score is capped", () => {
  const { reshape = 0, transpose = 0, concat } = countOps(stackSpec(blocks, "pages"));
  assert.deepEqual({ reshape, transpose, concat }, { reshape: 0, transpose: 0, concat: 6 });
});

test("factors on norms are multiplied with their weights, all others with what they are for", () => {
  const smoothed = {
    ...options,
    product: (_tensor: string, matrix: Matrix) => int8ForwardProduct(matrix),
    isSmoothed: () => true,
  };
  const spec = stackSpec([base.model.buildBlock(0, smoothed), base.model.buildBlock(1, smoothed)], "pages");
  const ofVectors = nodesOf(spec).filter(({ op, outputs: [y] }) => op.name === "mul" && y.shape.length === 1);
  // Two norms a block; the outputs of attention and of the gated part have no norm before them.
  const { addRmsNorm, rmsNorm } = countOps(spec);
  assert.deepEqual([ofVectors.length, addRmsNorm, rmsNorm], [4, 3, 1]);
});
