/**
 * @file VeRA: all sites share one random, frozen pair of matrices; each site trains two vectors.
 *
 *   y = x Wᵀ + bias + λ_b ∘ ((λ_d ∘ (drop(x) A[:, :in]ᵀ)) B[:out]ᵀ)
 *   A [R, largest in]  B [largest out, R]  λ_d [R]  λ_b [out]
 *
 * Paper: "VeRA: Vector-based Random Matrix Adaptation", arXiv:2310.11454, eq. 2. A and B are uniform with the bounds of He et al. for
 * their input widths, and equal to peft's for the same seed; λ_d starts at 0.1 (table 6), λ_b at 0, so the output starts as the base's.
 */
import { z } from "zod";
import type { Value } from "../../graph/graph.ts";
import { add, mul } from "../../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { slice } from "../../graph/ops/shapes/slice-pad.ts";
import type { SiteGraph } from "../../models/graphs/site-graph.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import { type HostTensor, zeros } from "../../runtime/host-tensor.ts";
import type { SiteState } from "../algebra/contract.ts";
import { defineMethod } from "../define-method.ts";
import { ALL_LINEAR, NOTHING_FROZEN } from "../method.ts";
import { PLAIN_FILE, areTransposed, configKeys, takesAll } from "../contract/adapter-file.ts";
import { perToken } from "../contract/batch-rule.ts";
import type { SiteValues } from "../sites/site.ts";
import { MODULES_TO_SAVE, WHOLE_MODULES, joinWholeModules } from "../trained-base/whole-modules.ts";
import { torchUniform } from "./vera/torch-uniform.ts";

const OPTIONS = z.strictObject({
  rank: z.int().min(1).default(256).describe("rank R of the two shared matrices"),
  dInitial: z.number().default(0.1).describe("initial value of the vector d between the shared matrices"),
  dropout: z.number().min(0).lt(1).default(0).describe("dropout on the inputs of the update, in training"),
  projectionSeed: z.int().min(0).default(0).describe("seed of the shared matrices"),
  saveProjection: z
    .boolean()
    .default(true)
    .describe(
      "store the shared matrices in the adapter's file; otherwise readers regenerate them from the seed",
    ),
  ...MODULES_TO_SAVE,
});
type VeraOptions = z.output<typeof OPTIONS>;

const KEYS = configKeys<VeraOptions>({
  rank: "r",
  dInitial: "d_initial",
  dropout: "vera_dropout",
  projectionSeed: "projection_prng_key",
  saveProjection: "save_projection",
});

interface VeraSite extends Pick<VeraOptions, "rank" | "dInitial" | "dropout" | "saveProjection"> {
  readonly largestIn: number;
  readonly largestOut: number;
}

const LAMBDA_D = "vera_lambda_d";
const LAMBDA_B = "vera_lambda_b";
const A = "vera_A";
const B = "vera_B";

export const vera = defineMethod<VeraOptions, VeraSite>({
  kind: "adapter",
  name: "vera",
  paper: { title: "VeRA: Vector-based Random Matrix Adaptation", arxiv: "2310.11454" },
  learningRate: 4e-3,
  options: OPTIONS,
  targets: { ...ALL_LINEAR, ...WHOLE_MODULES },

  configure:
    ({ rank, dInitial, dropout, saveProjection }) =>
    ({ sites }) => ({ rank, dInitial, dropout, saveProjection, ...largest(sites) }),

  trained: {
    specs: ({ outFeatures }, { rank }) => [
      { suffix: LAMBDA_D, shape: [rank] },
      { suffix: LAMBDA_B, shape: [outFeatures] },
    ],
    init: ({ tensors: { [LAMBDA_D]: d } }, { dInitial }) => {
      d!.data.fill(dInitial);
    },
    initialChange: "none",
  },

  frozen: {
    ...NOTHING_FROZEN,
    specs: (_site, { rank, largestIn, largestOut, saveProjection: saved }) => [
      { suffix: A, shape: [rank, largestIn], dtype: "float32", shared: true, saved },
      { suffix: B, shape: [largestOut, rank], dtype: "float32", shared: true, saved },
    ],
    share: (sites, { rank, projectionSeed }) => {
      const { largestIn, largestOut } = largest(sites);
      const uniform = torchUniform(projectionSeed);
      return { [A]: draw([rank, largestIn], uniform), [B]: draw([largestOut, rank], uniform) };
    },
  },

  adapt: (site, x, values, { dropout }) => addUpdate(site, x, site.dropout(x, dropout), values),

  materializesWeight: () => false,

  lookup: "not-on-embeddings",
  // In LoRA's form a row would have matrices of rank 256, nearly as large as a weight; in this form it has two vectors.
  batch: {
    ofBase: null,
    added: null,
    form: ({ [LAMBDA_D]: d, [LAMBDA_B]: b }, _site, options) => ({
      tensors: { [LAMBDA_D]: perToken(d!.data), [LAMBDA_B]: perToken(b!.data) },
      options: inRows(options),
    }),
    identity: (_site, options) => ({ tensors: {}, options: inRows(options) }),
    adapt: (site, x, values) => addUpdate(site, x, x, values),
  },

  merge: {
    graph: ({ weight, bias }, values, site, { rank }) => {
      const { a, b, lambdaD, lambdaB } = sharedSlices(values, site);
      const left = mul(b, reshape(lambdaB, [site.outFeatures, 1])); // [out, R]
      return { weight: add(weight, matmul(left, mul(a, reshape(lambdaD, [rank, 1])))), bias };
    },
    stored: "requantized",
  },

  algebra: {
    kind: "factors",
    refuses: () => null,
    notConcatenable: "the vectors of two adapters cannot be combined into one pair of vectors",
    suffixes: [LAMBDA_D, LAMBDA_B],
    sizeOf: ({ [LAMBDA_B]: b }) => ({ kind: "linear", inFeatures: 1, outFeatures: b?.data.length ?? 1 }),
    split: ({ tensors }: SiteState<VeraSite>) => ({
      down: tensors[LAMBDA_D]!,
      up: tensors[LAMBDA_B]!,
      scale: 1,
    }),
    join: ({ down, up }, { options }) => ({ tensors: { [LAMBDA_D]: down, [LAMBDA_B]: up }, options }),
    optionsOf: (_sites, terms) => ({ ...terms[0], ...joinWholeModules(terms) }),
  },

  file: {
    ...PLAIN_FILE,
    peftType: "VERA",
    readBy: (_, paths, takes) => (takesAll(paths, takes) ? "peft" : "graft"),
    toConfig: (o, sites) => ({
      ...KEYS.toConfig(o),
      bias: "none",
      fan_in_fan_out: areTransposed(sites),
      init_weights: true,
    }),
    fromConfig: (take) => {
      take("init_weights");
      return KEYS.fromConfig(take);
    },
  },
});

/** Sizes of the shared matrices. */
function largest(sites: readonly SiteSpec[]): Pick<VeraSite, "largestIn" | "largestOut"> {
  return {
    largestIn: Math.max(...sites.map((site) => site.inFeatures)),
    largestOut: Math.max(...sites.map((site) => site.outFeatures)),
  };
}

/** Adds the update of `dropped` to the projection of x; vectors are [R] and [out], or [B, 1, R] and [B, 1, out] for each row. */
function addUpdate(site: SiteGraph, x: Value, dropped: Value, values: SiteValues): Value {
  const { a, b, lambdaD, lambdaB } = sharedSlices(values, site.spec);
  const low = mul(matmul(dropped, a, { transB: true }), lambdaD); // [..., R]
  return add(site.project(x), mul(matmul(low, b, { transB: true }), lambdaB));
}

/** The options in which rows must agree; those only for training are neutralised. */
function inRows(options: VeraSite): VeraSite {
  return { ...options, dInitial: 0, dropout: 0, saveProjection: true };
}

/** Draws from ±√(6 / columns) uniformly, which preserves the scale of signals through a matrix and a rectifier (He et al., 2015). */
function draw(shape: readonly [number, number], uniform: () => number): HostTensor<"float32"> {
  const tensor = zeros("float32", shape);
  const bound = Math.fround(Math.sqrt(6 / shape[1]));
  for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = 2 * bound * uniform() - bound;
  return tensor;
}

/** Returns a site's part of the shared matrices, and its vectors. */
function sharedSlices(
  { [A]: a, [B]: b, [LAMBDA_D]: lambdaD, [LAMBDA_B]: lambdaB }: SiteValues,
  { inFeatures, outFeatures }: SiteSpec,
): Readonly<Record<"a" | "b" | "lambdaD" | "lambdaB", Value>> {
  return {
    a: first(a!, 1, inFeatures), // [R, in]
    b: first(b!, 0, outFeatures), // [out, R]
    lambdaD: lambdaD!,
    lambdaB: lambdaB!,
  };
}

/** Takes the first `size` entries of an axis. */
function first(x: Value, axis: number, size: number): Value {
  return x.shape[axis] === size ? x : slice(x, axis, 0, size);
}
