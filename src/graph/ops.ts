/**
 * @file The list of operations, over which the conformance suite loops. An operation is a file in a folder of `ops/`, a line
 * here, and cases in `test/ops/`. The folders are shapes, pointwise, rows, reductions, norms, products, losses, attention and
 * linear-attention; each imports only from those before it.
 */
import type { AnyOp } from "./graph.ts";
import { attentionGradientOp, attentionOp } from "./ops/attention/attention.ts";
import { addRmsNormOp } from "./ops/norms/add-rms-norm.ts";
import { biasedAttentionGradientOp, biasedAttentionOp } from "./ops/attention/biased-attention.ts";
import { cachedAttentionOp } from "./ops/attention/cached-attention.ts";
import { castOp } from "./ops/shapes/cast.ts";
import {
  cachedLinearAttentionOp,
  linearAttentionGradientOp,
  linearAttentionOp,
} from "./ops/linear-attention/linear-attention.ts";
import { distanceGridOp, distanceRowsOp } from "./ops/attention/distance-rows.ts";
import { equalOp, greaterOp } from "./ops/pointwise/compare.ts";
import { clampOp } from "./ops/pointwise/clamp.ts";
import { concatOp } from "./ops/shapes/concat.ts";
import { crossEntropyOp, softmaxErrorOp } from "./ops/losses/cross-entropy.ts";
import { ELEMENTWISE_OPS } from "./ops/pointwise/elementwise.ts";
import { gatherColumnsOp } from "./ops/rows/gather-columns.ts";
import { gatherPagesOp } from "./ops/rows/gather-pages.ts";
import { addRowsOp, gatherRowsOp, scatterAddRowsOp } from "./ops/rows/gather-scatter.ts";
import { geluOp } from "./ops/pointwise/gelu.ts";
import { kthSmallestOp } from "./ops/reductions/kth-smallest.ts";
import { layerNormOp } from "./ops/norms/layer-norm.ts";
import { int8CrossEntropyOp } from "./ops/losses/int8-cross-entropy.ts";
import { linearCrossEntropyOp } from "./ops/losses/linear-cross-entropy.ts";
import { logSumExpOp } from "./ops/reductions/log-sum-exp.ts";
import { matmulBitsOp } from "./ops/products/matmul-bits.ts";
import { matmulInt8Op } from "./ops/products/matmul-int8.ts";
import { matmulPartsOp } from "./ops/products/matmul-parts.ts";
import { matmulOp } from "./ops/products/matmul.ts";
import { markedRowOp } from "./ops/rows/marked-row.ts";
import { maskLengthsOp } from "./ops/attention/mask-lengths.ts";
import { maskPositionsOp } from "./ops/attention/mask-positions.ts";
import { maximumOp } from "./ops/pointwise/maximum.ts";
import { pairwiseDistanceOp } from "./ops/products/pairwise-distance.ts";
import { expandLikeOp, reduceSumOp } from "./ops/shapes/reduce-expand.ts";
import { relativeShiftOp, relativeUnshiftOp } from "./ops/attention/relative-shift.ts";
import { reduceMaxOp } from "./ops/reductions/reduce-max.ts";
import { reduceMeanOp } from "./ops/reductions/reduce-mean.ts";
import { repeatRowsOp, sumRepeatsOp } from "./ops/rows/repeat-rows.ts";
import { reshapeLikeOp, reshapeOp } from "./ops/shapes/reshape.ts";
import { rmsNormOp } from "./ops/norms/rms-norm.ts";
import { ropeOp } from "./ops/attention/rope.ts";
import { rotatePairsOp } from "./ops/products/rotate-pairs.ts";
import { markLargestOp } from "./ops/rows/mark-largest.ts";
import { routeRowsOp } from "./ops/rows/route-rows.ts";
import { siluOp } from "./ops/pointwise/silu.ts";
import { setColumnsOp } from "./ops/rows/set-columns.ts";
import { padLikeOp, sliceOp } from "./ops/shapes/slice-pad.ts";
import { scaleByExcessOp } from "./ops/pointwise/scale-by-excess.ts";
import { softmaxOp } from "./ops/reductions/softmax.ts";
import { joinRowsOp, splitRowsOp } from "./ops/rows/split-rows.ts";
import { splitOp } from "./ops/rows/split.ts";
import { stopGradientOp } from "./ops/shapes/stop-gradient.ts";
import { transposeOp } from "./ops/shapes/transpose.ts";
import { unpackCodesOp } from "./ops/products/unpack-codes.ts";
import { wholeAttentionOp } from "./ops/attention/whole-attention.ts";

export const OPS: readonly AnyOp[] = [
  ...ELEMENTWISE_OPS,
  maximumOp,
  greaterOp,
  equalOp,
  siluOp,
  geluOp,
  matmulOp,
  matmulBitsOp,
  matmulInt8Op,
  matmulPartsOp,
  pairwiseDistanceOp,
  reduceSumOp,
  reduceMeanOp,
  reduceMaxOp,
  kthSmallestOp,
  softmaxOp,
  scaleByExcessOp,
  clampOp,
  reshapeOp,
  reshapeLikeOp,
  transposeOp,
  sliceOp,
  splitOp,
  splitRowsOp,
  joinRowsOp,
  padLikeOp,
  concatOp,
  expandLikeOp,
  gatherRowsOp,
  gatherColumnsOp,
  setColumnsOp,
  gatherPagesOp,
  markedRowOp,
  scatterAddRowsOp,
  addRowsOp,
  castOp,
  unpackCodesOp,
  wholeAttentionOp,
  cachedAttentionOp,
  maskLengthsOp,
  maskPositionsOp,
  rmsNormOp,
  addRmsNormOp,
  layerNormOp,
  ropeOp,
  attentionOp,
  attentionGradientOp,
  biasedAttentionOp,
  biasedAttentionGradientOp,
  relativeShiftOp,
  relativeUnshiftOp,
  distanceRowsOp,
  distanceGridOp,
  linearAttentionOp,
  linearAttentionGradientOp,
  cachedLinearAttentionOp,
  rotatePairsOp,
  markLargestOp,
  routeRowsOp,
  repeatRowsOp,
  sumRepeatsOp,
  linearCrossEntropyOp,
  int8CrossEntropyOp,
  logSumExpOp,
  crossEntropyOp,
  softmaxErrorOp,
  stopGradientOp,
];
