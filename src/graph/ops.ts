/** @file The list of operations. The conformance suite loops over it. */
import type { Op } from "./op.ts";
import { absOp } from "./ops/abs.ts";
import { addOp } from "./ops/add.ts";
import { attentionMaskOp } from "./ops/attention-mask.ts";
import { castOp } from "./ops/cast.ts";
import { equalOp, greaterOp } from "./ops/compare.ts";
import { concatOp } from "./ops/concat.ts";
import { cosOp } from "./ops/cos.ts";
import { crossEntropyOp } from "./ops/cross-entropy.ts";
import { divOp } from "./ops/div.ts";
import { erfOp } from "./ops/erf.ts";
import { expOp } from "./ops/exp.ts";
import { expandLikeOp } from "./ops/expand-like.ts";
import { gatherRowsOp } from "./ops/gather-rows.ts";
import { geluOp } from "./ops/gelu.ts";
import { kthSmallestOp } from "./ops/kth-smallest.ts";
import { layerNormOp } from "./ops/layer-norm.ts";
import { linearCrossEntropyOp } from "./ops/linear-cross-entropy.ts";
import { logOp } from "./ops/log.ts";
import { matmulOp } from "./ops/matmul.ts";
import { maximumOp } from "./ops/maximum.ts";
import { mulOp } from "./ops/mul.ts";
import { negOp } from "./ops/neg.ts";
import { padLikeOp } from "./ops/pad-like.ts";
import { pairwiseDistanceOp } from "./ops/pairwise-distance.ts";
import { reduceMeanOp } from "./ops/reduce-mean.ts";
import { reduceSumOp } from "./ops/reduce-sum.ts";
import { reshapeOp } from "./ops/reshape.ts";
import { rmsNormOp } from "./ops/rms-norm.ts";
import { ropeOp } from "./ops/rope.ts";
import { rotatePairsOp } from "./ops/rotate-pairs.ts";
import { scatterAddRowsOp } from "./ops/scatter-add-rows.ts";
import { sigmoidOp } from "./ops/sigmoid.ts";
import { signOp } from "./ops/sign.ts";
import { siluOp } from "./ops/silu.ts";
import { sinOp } from "./ops/sin.ts";
import { sliceOp } from "./ops/slice.ts";
import { softmaxErrorOp } from "./ops/softmax-error.ts";
import { softThresholdOp } from "./ops/soft-threshold.ts";
import { softmaxOp } from "./ops/softmax.ts";
import { splitOp } from "./ops/split.ts";
import { sqrtOp } from "./ops/sqrt.ts";
import { stopGradientOp } from "./ops/stop-gradient.ts";
import { subOp } from "./ops/sub.ts";
import { tanhOp } from "./ops/tanh.ts";
import { transposeOp } from "./ops/transpose.ts";
import { unpackCodesOp } from "./ops/unpack-codes.ts";

export const OPS = [
  addOp,
  subOp,
  mulOp,
  divOp,
  negOp,
  expOp,
  logOp,
  sqrtOp,
  cosOp,
  sinOp,
  signOp,
  absOp,
  maximumOp,
  greaterOp,
  equalOp,
  sigmoidOp,
  siluOp,
  tanhOp,
  erfOp,
  geluOp,
  matmulOp,
  pairwiseDistanceOp,
  reduceSumOp,
  reduceMeanOp,
  kthSmallestOp,
  softmaxOp,
  softThresholdOp,
  reshapeOp,
  transposeOp,
  sliceOp,
  splitOp,
  padLikeOp,
  concatOp,
  expandLikeOp,
  gatherRowsOp,
  scatterAddRowsOp,
  castOp,
  unpackCodesOp,
  rmsNormOp,
  layerNormOp,
  ropeOp,
  attentionMaskOp,
  rotatePairsOp,
  linearCrossEntropyOp,
  crossEntropyOp,
  softmaxErrorOp,
  stopGradientOp,
] as unknown as readonly Op[];
