/**
 * @file RoAd with an adapter for each row: each row's outputs are rotated by its own cosines and sines.
 *
 * If the two outputs of a pair share both, as in road_1, ONNX Runtime's RotaryEmbedding does everything in one pass over the
 * outputs, with groups in the place of positions: group k of row b reads the coefficients b·G + k. Otherwise outputs are
 * multiplied by their coefficients, with sines separate for each group size, so that all variants and sizes share a batch.
 */
import type { Value } from "../../../graph/graph.ts";
import { add, mul } from "../../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../../graph/ops/shapes/reshape.ts";
import { rope } from "../../../graph/ops/attention/rope.ts";
import { quarterTurn, rotatePairs } from "../../../graph/ops/products/rotate-pairs.ts";
import { dimsOf, mulDims } from "../../../graph/shape.ts";
import type { SiteGraph } from "../../../models/graphs/site-graph.ts";
import { type PassInput, passInput } from "../../../nn/pass.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import { type RowForm, perToken } from "../../contract/batch-rule.ts";
import type { SiteValues } from "../../sites/site.ts";
import type { RoadLayout } from "./coefficients.ts";
import type { Coefficients } from "./numbers.ts";

/** Names in the row form; for sines of single outputs the group size is appended. */
const COS = "cos";
const SIN = "sin.";
const PAIR_SIN = "sin";

/** Whether pairs share one cosine and one sine and the single pass is used, for which pairs of neighbours are too narrow. */
function areShared({ variant, groupSize }: RoadLayout): boolean {
  return variant === "road_1" && groupSize > 2;
}

/** Makes the row form from the cosine and the sine of each output. */
export function roadRowForm<S extends RoadLayout>(
  { c, s }: Coefficients<Float32Array>,
  layout: S,
): RowForm<S> {
  const { width, groupSize } = layout;
  if (!areShared(layout)) {
    const options = { ...layout, variant: "road_2", groupSize: 2, pairs: "all" };
    return { tensors: { [COS]: perToken(c), [SIN + groupSize]: perToken(s) }, options };
  }
  const perPair = (data: Float32Array): HostTensor<"float32"> =>
    hostTensor(
      "float32",
      [width / groupSize, groupSize / 2],
      data.filter((_, k) => k % groupSize < groupSize / 2),
    );
  return { tensors: { [COS]: perPair(c), [PAIR_SIN]: perPair(s) }, options: { ...layout, pairs: "all" } };
}

/** Rotates h [B, T, D] by the coefficients of each row. */
export function turnRows(site: SiteGraph, h: Value, values: SiteValues, layout: RoadLayout): Value {
  if (PAIR_SIN in values) return turnShared(site, h, values, layout);
  const [first, ...others] = Object.entries(values).flatMap(([name, sines]) =>
    name.startsWith(SIN) ? [{ groupSize: Number(name.slice(SIN.length)), sines }] : [],
  ) as [RowTurn, ...RowTurn[]];
  const z = rotatePairs(h, values[COS]!, first.sines, first.groupSize);
  return others.reduce((sum, turn) => add(sum, mul(quarterTurn(h, turn.groupSize), turn.sines)), z);
}

interface RowTurn {
  readonly groupSize: number;
  readonly sines: Value;
}

function turnShared(site: SiteGraph, h: Value, values: SiteValues, { width, groupSize }: RoadLayout): Value {
  const numGroups = width / groupSize;
  const [numRows, numTokens] = dimsOf(h.shape, 3);
  const table = (value: Value): Value => reshape(value, [mulDims(numRows, numGroups), groupSize / 2]);
  const groups = reshape(h, [numRows, numTokens, numGroups, groupSize]);
  const positions = site.context(placesOf(numGroups));
  const z = rope(groups, { positions, cos: table(values[COS]!), sin: table(values[PAIR_SIN]!) });
  return reshape(z, h.shape);
}

/** Index of each group of each row among those of all rows, int64 [B, G]. */
function placesOf(numGroups: number): PassInput {
  return passInput({
    name: `rowGroups${numGroups}`,
    dtype: "int64",
    shape: ["B", numGroups],
    perPrompt: false,
    fill: (_facts, data) => {
      for (let i = 0; i < data.length; i++) data[i] = BigInt(i);
    },
  });
}
