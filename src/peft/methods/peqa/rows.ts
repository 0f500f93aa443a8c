/**
 * @file PEQA with a task for each row: the shared product is computed once, and the output of each row is multiplied by its own scales.
 *
 *   y[b] = r[b] ∘ (x[b] Wᵀ) + bias     W: integers and r their scales, one per output; or W a weight and r = 1 + δ
 */
import type { Value } from "../../../graph/graph.ts";
import { add, mul, sub } from "../../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { dimAt } from "../../../graph/shape.ts";
import type { SiteGraph } from "../../../models/graphs/site-graph.ts";
import { linear } from "../../../nn/linear.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { StackedBatch } from "../../contract/batch-rule.ts";
import type { SiteValues } from "../../sites/site.ts";
import { BLOCKS, isOneScale, onesOf, projectBlocks, projectSteps } from "./blocks.ts";
import { DELTA, isOnBase, type PeqaSite, SCALE, START, weightOfCodes } from "./codes.ts";

/** Suffix of a task's factor for each output. */
const ROW = "peqa_row";

export const peqaRows: StackedBatch<PeqaSite> = {
  ofBase: null,
  added: null,

  form: ({ [SCALE]: scale, [DELTA]: change }, site, options) => {
    if (options.scales === "group" && !isOneScale({ ...site, format: options.format })) return null;
    const data = options.scales === "row" ? change!.data.map((value) => 1 + value) : scale!.data;
    return { tensors: { [ROW]: hostTensor("float32", [site.outFeatures], data) }, options };
  },

  identity: ({ outFeatures }, options) => {
    // Rows without an adapter would need the base's weight, where the others have codes.
    if (!isOnBase(options)) return null;
    const ones = new Float32Array(outFeatures).fill(1);
    return { tensors: { [ROW]: hostTensor("float32", [outFeatures], ones) }, options };
  },

  adapt: (site, x, values, options) => {
    const row = values[ROW]!;
    const perRow = reshape(row, [dimAt(row.shape, 0), 1, site.spec.outFeatures]);
    const y = mul(commonProduct(site, x, values, options), perRow);
    return site.bias ? add(y, site.bias) : y;
  },
};

/** The product that all tasks share: with the base's weight, or with codes. */
function commonProduct(site: SiteGraph, x: Value, values: SiteValues, options: PeqaSite): Value {
  const { spec, bias } = site;
  if (isOnBase(options)) return bias ? sub(site.project(x), bias) : site.project(x);
  const { format, scales } = options;
  const isBound = BLOCKS in values;
  if (scales === "group") {
    if (isBound) return projectSteps(x, values, { ...spec, format });
    return linear(x, weightOfCodes(spec, values, onesOf(x, spec.outFeatures, 1), format), null);
  }
  const start = values[START]!;
  return isBound
    ? projectBlocks(x, start, values, { ...spec, format })
    : linear(x, weightOfCodes(spec, values, start, format), null);
}
