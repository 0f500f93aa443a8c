/** @file The list of operation suites. A new operation is tested by adding its suite here. */
import { addRmsNormSuite } from "./add-rms-norm.ts";
import { attentionGradientSuite, attentionSuite } from "./attention.ts";
import { biasedAttentionGradientSuite, biasedAttentionSuite } from "./biased-attention.ts";
import { cachedAttentionSuite } from "./cached-attention.ts";
import { castSuite } from "./cast.ts";
import { clampSuite } from "./clamp.ts";
import { crossEntropySuite, softmaxErrorSuite } from "./cross-entropy.ts";
import { addSuite, divSuite, mulSuite, subSuite } from "./elementwise-binary.ts";
import {
  cosSuite,
  expSuite,
  logSuite,
  negSuite,
  sigmoidSuite,
  signSuite,
  siluSuite,
  sinSuite,
  softplusSuite,
  sqrtSuite,
  tanhSuite,
} from "./elementwise-unary.ts";
import { expandLikeSuite } from "./expand-like.ts";
import { gatherColumnsSuite } from "./gather-columns.ts";
import { gatherPagesSuite } from "./gather-pages.ts";
import {
  cachedLinearAttentionSuite,
  linearAttentionGradientSuite,
  linearAttentionSuite,
} from "./linear-attention.ts";
import { erfSuite, geluSuite } from "./gelu.ts";
import { kthSmallestSuite } from "./kth-smallest.ts";
import { layerNormSuite } from "./layer-norm.ts";
import { int8CrossEntropySuite } from "./int8-cross-entropy.ts";
import { linearCrossEntropySuite } from "./linear-cross-entropy.ts";
import { logSumExpSuite } from "./log-sum-exp.ts";
import { absSuite, equalSuite, greaterSuite, maximumSuite } from "./magnitude.ts";
import { markedRowSuite, maskLengthsSuite, maskPositionsSuite } from "./masks.ts";
import { matmulBitsSuite } from "./matmul-bits.ts";
import { matmulInt8Suite } from "./matmul-int8.ts";
import { matmulPartsSuite } from "./matmul-parts.ts";
import { matmulSuite } from "./matmul.ts";
import type { OpSuite } from "./op-suite.ts";
import { pairwiseDistanceSuite } from "./pairwise-distance.ts";
import { concatSuite, padLikeSuite, sliceSuite, splitSuite } from "./pieces.ts";
import { reduceMaxSuite, reduceMeanSuite, reduceSumSuite } from "./reductions.ts";
import { reshapeLikeSuite, reshapeSuite } from "./reshape.ts";
import { rmsNormSuite } from "./rms-norm.ts";
import { ropeSuite } from "./rope.ts";
import { rotatePairsSuite } from "./rotate-pairs.ts";
import {
  distanceGridSuite,
  distanceRowsSuite,
  relativeShiftSuite,
  relativeUnshiftSuite,
} from "./relative-shift.ts";
import { repeatRowsSuite, sumRepeatsSuite } from "./repeat-rows.ts";
import { markLargestSuite } from "./mark-largest.ts";
import { routeRowsSuite } from "./route-rows.ts";
import { addRowsSuite, gatherRowsSuite, scatterAddRowsSuite } from "./rows.ts";
import { setColumnsSuite } from "./set-columns.ts";
import { scaleByExcessSuite } from "./scale-by-excess.ts";
import { softmaxSuite } from "./softmax.ts";
import { joinRowsSuite, splitRowsSuite } from "./split-rows.ts";
import { stopGradientSuite } from "./stop-gradient.ts";
import { transposeSuite } from "./transpose.ts";
import { unpackCodesSuite } from "./unpack-codes.ts";
import { wholeAttentionSuite } from "./whole-attention.ts";

export const OP_SUITES: readonly OpSuite[] = [
  addSuite,
  subSuite,
  mulSuite,
  divSuite,
  negSuite,
  expSuite,
  logSuite,
  sqrtSuite,
  cosSuite,
  sinSuite,
  signSuite,
  absSuite,
  maximumSuite,
  greaterSuite,
  equalSuite,
  sigmoidSuite,
  siluSuite,
  softplusSuite,
  tanhSuite,
  erfSuite,
  geluSuite,
  matmulSuite,
  matmulBitsSuite,
  matmulInt8Suite,
  matmulPartsSuite,
  pairwiseDistanceSuite,
  reduceSumSuite,
  reduceMeanSuite,
  reduceMaxSuite,
  kthSmallestSuite,
  softmaxSuite,
  scaleByExcessSuite,
  clampSuite,
  reshapeSuite,
  reshapeLikeSuite,
  markLargestSuite,
  routeRowsSuite,
  repeatRowsSuite,
  sumRepeatsSuite,
  splitRowsSuite,
  joinRowsSuite,
  transposeSuite,
  sliceSuite,
  splitSuite,
  padLikeSuite,
  concatSuite,
  expandLikeSuite,
  gatherRowsSuite,
  gatherColumnsSuite,
  setColumnsSuite,
  gatherPagesSuite,
  markedRowSuite,
  scatterAddRowsSuite,
  addRowsSuite,
  castSuite,
  unpackCodesSuite,
  wholeAttentionSuite,
  cachedAttentionSuite,
  maskLengthsSuite,
  maskPositionsSuite,
  rmsNormSuite,
  addRmsNormSuite,
  layerNormSuite,
  ropeSuite,
  attentionSuite,
  attentionGradientSuite,
  biasedAttentionSuite,
  biasedAttentionGradientSuite,
  relativeShiftSuite,
  relativeUnshiftSuite,
  distanceRowsSuite,
  distanceGridSuite,
  linearAttentionSuite,
  linearAttentionGradientSuite,
  cachedLinearAttentionSuite,
  rotatePairsSuite,
  linearCrossEntropySuite,
  int8CrossEntropySuite,
  logSumExpSuite,
  crossEntropySuite,
  softmaxErrorSuite,
  stopGradientSuite,
];
