/** @file The list of operations, over which the conformance suite loops: one is a file in `ops/`, a line here, and cases in `test/ops/`. */
import type { AnyOp } from "./graph.ts";
import { attentionGradientOp, attentionOp } from "./ops/attention.ts";
import { addRmsNormOp } from "./ops/add-rms-norm.ts";
import { cachedAttentionOp } from "./ops/cached-attention.ts";
import { castOp } from "./ops/cast.ts";
import { equalOp, greaterOp } from "./ops/compare.ts";
import { concatOp } from "./ops/concat.ts";
import { crossEntropyOp, softmaxErrorOp } from "./ops/cross-entropy.ts";
import { ELEMENTWISE_OPS } from "./ops/elementwise.ts";
import { gatherColumnsOp } from "./ops/gather-columns.ts";
import { gatherPagesOp } from "./ops/gather-pages.ts";
import { addRowsOp, gatherRowsOp, scatterAddRowsOp } from "./ops/gather-scatter.ts";
import { geluOp } from "./ops/gelu.ts";
import { kthSmallestOp } from "./ops/kth-smallest.ts";
import { layerNormOp } from "./ops/layer-norm.ts";
import { int8CrossEntropyOp } from "./ops/int8-cross-entropy.ts";
import { linearCrossEntropyOp } from "./ops/linear-cross-entropy.ts";
import { logSumExpOp } from "./ops/log-sum-exp.ts";
import { matmulBitsOp } from "./ops/matmul-bits.ts";
import { matmulInt8Op } from "./ops/matmul-int8.ts";
import { matmulPartsOp } from "./ops/matmul-parts.ts";
import { matmulOp } from "./ops/matmul.ts";
import { maximumOp } from "./ops/maximum.ts";
import { pairwiseDistanceOp } from "./ops/pairwise-distance.ts";
import { expandLikeOp, reduceSumOp } from "./ops/reduce-expand.ts";
import { reduceMaxOp } from "./ops/reduce-max.ts";
import { reduceMeanOp } from "./ops/reduce-mean.ts";
import { repeatRowsOp, sumRepeatsOp } from "./ops/repeat-rows.ts";
import { reshapeLikeOp, reshapeOp } from "./ops/reshape.ts";
import { rmsNormOp } from "./ops/rms-norm.ts";
import { ropeOp } from "./ops/rope.ts";
import { rotatePairsOp } from "./ops/rotate-pairs.ts";
import { routeRowsOp } from "./ops/route-rows.ts";
import { siluOp } from "./ops/silu.ts";
import { setColumnsOp } from "./ops/set-columns.ts";
import { padLikeOp, sliceOp } from "./ops/slice-pad.ts";
import { softThresholdOp } from "./ops/soft-threshold.ts";
import { softmaxOp } from "./ops/softmax.ts";
import { joinRowsOp, splitRowsOp } from "./ops/split-rows.ts";
import { splitOp } from "./ops/split.ts";
import { stopGradientOp } from "./ops/stop-gradient.ts";
import { transposeOp } from "./ops/transpose.ts";
import { unpackCodesOp } from "./ops/unpack-codes.ts";
import { wholeAttentionOp } from "./ops/whole-attention.ts";

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
  softThresholdOp,
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
  scatterAddRowsOp,
  addRowsOp,
  castOp,
  unpackCodesOp,
  wholeAttentionOp,
  cachedAttentionOp,
  rmsNormOp,
  addRmsNormOp,
  layerNormOp,
  ropeOp,
  attentionOp,
  attentionGradientOp,
  rotatePairsOp,
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
