/**
 * @file SNELL: a kernel of two thin factors gives a dense update of high rank, of which only the largest entries remain.
 *
 *   y = x (W + ΔWˢ)ᵀ + b     ΔW_ij = κ(B_i, A_j)     A [in, R]  B [out, R]     ΔWˢ: ΔW with its smaller entries zero
 *
 * Paper: "Expanding Sparse Tuning for Low Memory Usage", arXiv:2411.01800, eq. 4 (whose i and j are swapped) and 5.
 * ΔW lives only inside a program, forward and again backward; trained and stored are the R(in + out) numbers of LoRA of
 * rank R and the kernel's few own. The published start is not the base, as the gradient of eq. 5 is zero where ΔW is; ours
 * can be, by subtracting for good what copies of the factors change. In training, inputs and whole rows of what the update
 * adds may be dropped, as in the published code:  y = x Wᵀ + b + d ΔWˢᵀ, d for x.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { add, sub } from "../../graph/ops/elementwise.ts";
import { linear } from "../../nn/linear.ts";
import { ALL_LINEAR, NOTHING_FROZEN, defineMethod } from "../method.ts";
import { PLAIN_FILE } from "../contract/adapter-file.ts";
import type { ParameterSpec, SitePlace, SiteValues } from "../sites/site.ts";
import { DELTA, snellRows } from "./snell/rows.ts";
import { KERNELS, type KernelName, type KernelShape, kernelOf } from "./snell/kernels.ts";
import { SPARSIFIERS, type Sparsity, THROUGH, numZeros, sparsify } from "./snell/sparsify.ts";
import { patternValues } from "../sites/targets.ts";
import {
  MODULES_TO_SAVE,
  WHOLE_MODULES,
  wholeModulesFromConfig,
  wholeModulesToConfig,
} from "../whole-modules.ts";

const SHARE = z.number().min(0).lt(1);

const OPTIONS = z.strictObject({
  rank: z.int().min(1).default(8).describe("width R of the two thin factors"),
  kernel: z
    .enum(Object.keys(KERNELS) as [KernelName, ...KernelName[]])
    .default("piecewise-linear")
    .describe("function of two rows of the factors that gives an entry of the update"),
  pieces: z.int().min(1).default(2).describe("segments of a row in the piecewise linear kernel"),
  alpha: z
    .number()
    .positive()
    .default(1)
    .describe("start of the kernel's factor α; pieces take α and -α in turn"),
  learnKernel: z.boolean().default(true).describe("train the kernel's own numbers too"),
  sparsify: z
    .enum(SPARSIFIERS)
    .default("soft")
    .describe(
      "what becomes of entries above the threshold: times their distance, their size, kept, those of the start kept, or no threshold",
    ),
  sparsity: SHARE.default(0.9).describe("share of the update's entries that are zero"),
  sparsityPattern: z.record(z.string(), SHARE).default({}).describe("other shares by module pattern"),
  through: z
    .enum(THROUGH)
    .default("threshold")
    .describe("what soft differentiates beside the entry: its size and the threshold, its size, nothing"),
  zeroStart: z
    .boolean()
    .default(false)
    .describe(
      "subtract what the start changes, so that training begins at the base; the file is twice as large",
    ),
  dropout: SHARE.default(0).describe("dropout on the inputs of the update, in training"),
  dropPath: SHARE.default(0).describe(
    "share of a batch's rows to which the update adds nothing, in training",
  ),
  ...MODULES_TO_SAVE,
});
type SnellOptions = z.output<typeof OPTIONS>;

/** Options of a site. */
type SnellSite = KernelShape &
  Sparsity &
  Pick<SnellOptions, "kernel" | "learnKernel" | "zeroStart" | "dropout" | "dropPath">;

const A = "snell_A";
const B = "snell_B";
/** Their copies as they start, where what they change is subtracted, or says which entries remain. */
const FROZEN_A = "snell_A0";
const FROZEN_B = "snell_B0";
/** Suffix of one of the kernel's own numbers. */
const suffixOf = (name: string): string => `snell_${name}`;

export const snell = defineMethod<SnellOptions, SnellSite>({
  kind: "adapter",
  name: "snell",
  paper: { title: "Expanding Sparse Tuning for Low Memory Usage", arxiv: "2411.01800" },
  learningRate: 4e-3,
  options: OPTIONS,
  targets: { ...ALL_LINEAR, ...WHOLE_MODULES },

  configure: ({ sparsityPattern, modulesToSave: _whole, ...others }) => {
    const sparsityOf = patternValues(sparsityPattern);
    return (place) => siteOptions({ ...others, sparsity: sparsityOf(place.path) ?? others.sparsity }, place);
  },

  trained: {
    specs: ({ inFeatures, outFeatures }, options) => [
      { suffix: A, shape: [inFeatures, options.rank] },
      { suffix: B, shape: [outFeatures, options.rank] },
      ...(options.learnKernel ? ownNumbers(options) : []),
    ],
    init: ({ spec, tensors }, options, random) => {
      const kernel = kernelOf(options.kernel);
      for (const [suffix, rows] of [
        [A, spec.inFeatures],
        [B, spec.outFeatures],
      ] as const) {
        const { data } = tensors[suffix]!;
        const bound = kernel.bound(rows, options);
        for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random.uniform() - 1);
      }
      tensors[FROZEN_A]?.data.set(tensors[A]!.data);
      tensors[FROZEN_B]?.data.set(tensors[B]!.data);
      for (const [name, values] of Object.entries(kernel.coefficients(options))) {
        tensors[suffixOf(name)]?.data.set(values);
      }
    },
    initialChange: {
      because:
        "The kernel of random factors is not zero: a weight changes by about 1 % at a width of 128, by less where it is wider.",
    },
  },
  frozen: {
    ...NOTHING_FROZEN,
    specs: ({ inFeatures, outFeatures }, { rank, zeroStart, sparsify: mode }) => {
      if (!zeroStart && mode !== "fixed") return [];
      const own = { dtype: "float32", shared: false, saved: true } as const;
      return [
        { suffix: FROZEN_A, shape: [inFeatures, rank], ...own },
        { suffix: FROZEN_B, shape: [outFeatures, rank], ...own },
      ];
    },
  },

  adapt: (site, x, values, options) => {
    const delta = sparseDelta(values, options, (name, threshold) => site.save(name, threshold));
    const kept = site.dropout(site.dropout(x, options.dropout), options.dropPath, "row");
    if (kept === x) return linear(x, add(site.weight, delta), site.bias);
    return add(site.project(x), linear(kept, delta, null));
  },

  materializesWeight: () => true,

  lookup: "not-on-embeddings",
  batch: snellRows<SnellSite>(
    (_base, values, _site, options) => ({ [DELTA]: sparseDelta(values, options) }),
    // Whatever made an update, it is a matrix.
    {
      rank: 0,
      kernel: "sigmoid",
      pieces: 0,
      alpha: 0,
      learnKernel: false,
      sparsify: "none",
      sparsity: 0,
      through: "nothing",
      zeroStart: false,
      dropout: 0,
      dropPath: 0,
    },
  ),

  merge: {
    graph: ({ weight, bias }, values, _site, options) => ({
      weight: add(weight, sparseDelta(values, options)),
      bias,
    }),
    stored: "requantized",
  },

  // The sum of two sparse updates has more entries than either, and no factors.
  algebra: "not-composable",

  file: {
    ...PLAIN_FILE,
    peftType: "SNELL",
    toConfig: (o) => ({
      r: o.rank,
      kernel: o.kernel,
      pieces: o.pieces,
      alpha: o.alpha,
      learn_kernel: o.learnKernel,
      sparsify: o.sparsify,
      sparsity: o.sparsity,
      sparsity_pattern: o.sparsityPattern,
      through: o.through,
      zero_start: o.zeroStart,
      dropout: o.dropout,
      drop_path: o.dropPath,
      ...wholeModulesToConfig(o),
    }),

    fromConfig: (take) => ({
      rank: take("r"),
      kernel: take("kernel"),
      pieces: take("pieces"),
      alpha: take("alpha"),
      learnKernel: take("learn_kernel"),
      sparsify: take("sparsify"),
      sparsity: take("sparsity"),
      sparsityPattern: take("sparsity_pattern"),
      through: take("through"),
      zeroStart: take("zero_start"),
      dropout: take("dropout"),
      dropPath: take("drop_path"),
      ...wholeModulesFromConfig(take),
    }),
  },
});

/** The kernel's own numbers as trained tensors. */
/** @throws UsageError "usage/flag" where a site is too small for its options */
function siteOptions(options: SnellSite, { path, spec }: SitePlace): SnellSite {
  const { kernel, pieces, rank } = options;
  if (kernel === "piecewise-linear" && pieces > rank) {
    throw new UsageError(
      "usage/flag",
      `Cannot adapt "${path}": its factors have ${rank} numbers a row, expected at least the ${pieces} pieces of the kernel`,
      {
        hint: `Use pieces of at most ${rank}, or a larger rank.`,
      },
    );
  }
  const numEntries = spec.outFeatures * spec.inFeatures;
  if (numZeros(options, numEntries) >= numEntries) {
    throw new UsageError(
      "usage/flag",
      `Cannot adapt "${path}": a sparsity of ${options.sparsity} leaves none of its ${numEntries} entries, expected at least one`,
      { hint: `Use a sparsity of at most ${Math.floor((1 - 1 / numEntries) * 1e6) / 1e6}.` },
    );
  }
  return options;
}

function ownNumbers(options: SnellSite): ParameterSpec[] {
  const coefficients = kernelOf(options.kernel).coefficients(options);
  return Object.entries(coefficients).map(([name, values]) => ({
    suffix: suffixOf(name),
    shape: [values.length],
  }));
}

/** ΔWˢ [out, in], which may take the factors of the start too. `save` is given thresholds by name. */
function sparseDelta(
  values: SiteValues,
  options: SnellSite,
  save: (name: string, threshold: Value) => Value = (_name, threshold) => threshold,
): Value {
  const { [A]: a, [B]: b, [FROZEN_A]: a0, [FROZEN_B]: b0 } = values;
  const kernel = kernelOf(options.kernel);
  const { graph } = a!;
  const starts = Object.entries(kernel.coefficients(options)).map(
    ([name, start]) => [name, vector(graph, start)] as const,
  );
  const numbers = starts.map(([name, start]) => [name, values[suffixOf(name)] ?? start]);
  const delta = kernel.delta(b!, a!, Object.fromEntries(numbers), options);
  const saved = (name: string) => (threshold: Value) => save(name, threshold);
  if (!a0 || !b0) return sparsify(delta, delta, options, saved("threshold"));
  const before = kernel.delta(b0, a0, Object.fromEntries(starts), options);
  if (options.sparsify === "fixed") {
    const moved = options.zeroStart ? sub(delta, before) : delta;
    return sparsify(moved, before, options, saved("start"));
  }
  return sub(
    sparsify(delta, delta, options, saved("threshold")),
    sparsify(before, before, options, saved("start")),
  );
}

function vector(graph: Graph, values: readonly number[]): Value {
  return graph.constant("float32", [values.length], Float32Array.from(values));
}
