/**
 * @file SNELL: a kernel of two thin factors gives a dense update of high rank, of which only the largest entries are kept.
 *
 *   y = x (W + ΔWˢ)ᵀ + b     ΔW_ij = κ(B_i, A_j)     A [in, R]  B [out, R]     ΔWˢ: ΔW with its smaller entries zero
 *
 * Paper: "Expanding Sparse Tuning for Low Memory Usage", arXiv:2411.01800, eq. 4 (whose i and j are swapped) and 5. ΔW exists
 * only inside a program, forward and again backward; R(in + out) numbers are trained and stored, as for LoRA of rank R, and the
 * kernel's few own. The published start differs from the base, as the gradient of eq. 5 is zero where ΔW is; ours can equal the
 * base, by permanently subtracting the change of frozen copies of the factors. In training, inputs and whole rows of the update's
 * output may be dropped, as in the published code:  y = x Wᵀ + b + d ΔWˢᵀ, d for x.
 */
import type { Graph, Value } from "../../graph/graph.ts";
import { add, sub } from "../../graph/ops/pointwise/elementwise.ts";
import { linear } from "../../nn/linear.ts";
import { defineMethod } from "../define-method.ts";
import { ALL_LINEAR, NOTHING_FROZEN } from "../method.ts";
import { PLAIN_FILE } from "../contract/adapter-file.ts";
import type { ParameterSpec, SiteValues } from "../sites/site.ts";
import { kernelOf } from "./snell/kernels.ts";
import {
  SNELL_KEYS,
  SNELL_OPTIONS,
  type SnellOptions,
  type SnellSite,
  siteOptions,
} from "./snell/options.ts";
import { sparsify } from "./snell/sparsify.ts";
import { patternValues } from "../sites/targets.ts";
import { WHOLE_MODULES } from "../trained-base/whole-modules.ts";

const A = "snell_A";
const B = "snell_B";
/** Copies of the initial factors, if their update is subtracted or decides which entries are kept. */
const FROZEN_A = "snell_A0";
const FROZEN_B = "snell_B0";
/** The update [out, in] for rows of a batch, made once, when an adapter is added. */
const DELTA = "delta";
/** Suffix of one of the kernel's own numbers. */
const suffixOf = (name: string): string => `snell_${name}`;

export const snell = defineMethod<SnellOptions, SnellSite>({
  kind: "adapter",
  name: "snell",
  paper: { title: "Expanding Sparse Tuning for Low Memory Usage", arxiv: "2411.01800" },
  learningRate: 4e-3,
  options: SNELL_OPTIONS,
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
        "The kernel of random factors is not zero: weights change by about 1 % at a width of 128, and by less at larger widths.",
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
  batch: {
    ofBase: (_base, values, _site, options) => ({ [DELTA]: sparseDelta(values, options) }),
    form: ({ [DELTA]: delta }, _site, options) => ({ tensors: { [DELTA]: delta! }, options }),
    added: (x, { [DELTA]: delta }) => linear(x, delta!, null),
  },

  merge: {
    graph: ({ weight, bias }, values, _site, options) => ({
      weight: add(weight, sparseDelta(values, options)),
      bias,
    }),
    stored: "requantized",
  },

  // The sum of two sparse updates has more entries than either, and no factors.
  algebra: "not-composable",

  file: { ...PLAIN_FILE, peftType: "SNELL", ...SNELL_KEYS },
});

/** The kernel's own numbers as trained tensors. */
function ownNumbers(options: SnellSite): ParameterSpec[] {
  const coefficients = kernelOf(options.kernel).coefficients(options);
  return Object.entries(coefficients).map(([name, values]) => ({
    suffix: suffixOf(name),
    shape: [values.length],
  }));
}

/** Builds ΔWˢ [out, in], from the initial factors too if there are copies. `save` is given thresholds by name. */
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
