/**
 * @file (IA)³: one learned vector scales the output of a projection, or the input of a feed-forward one.
 *
 *   y = l ∘ (x Wᵀ + b)   l [out, 1]        feed-forward:  y = (l ∘ x) Wᵀ + b   l [1, in]
 *
 * Paper: "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", arXiv:2205.05638,
 * section 3.3. l starts at 1, so the output starts as the base's.
 */
import { z } from "zod";
import { mul } from "../../graph/ops/mul.ts";
import { reshape } from "../../graph/ops/reshape.ts";
import type { Dim } from "../../graph/shape.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { toPatterns } from "../algebra/patterns.ts";
import { defineMethod } from "../method.ts";
import { matchSuffix } from "../targets.ts";

const OPTIONS = z.strictObject({
  feedforwardModules: z
    .array(z.string())
    .default(["down_proj", "output.dense"])
    .describe("targets whose input is scaled instead of their output"),
});
type Ia3Options = z.output<typeof OPTIONS>;

interface Ia3Site {
  readonly feedforward: boolean;
}

const L = "ia3_l";

/** Families whose modules have other names. */
const OWN_TARGETS: Readonly<Record<string, readonly string[]>> = { vit: ["key", "value", "output.dense"] };

export const ia3 = defineMethod<Ia3Options, Ia3Site>({
  name: "ia3",
  peftType: "IA3",
  paper: {
    title: "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
    arxiv: "2205.05638",
  },
  options: OPTIONS,
  // The published choice scales keys, values and the inner feed-forward activations.
  defaultTargets: (family) => OWN_TARGETS[family] ?? ["k_proj", "v_proj", "down_proj"],
  trainsBase: () => false,

  configure: (options, { path }) => ({
    feedforward: options.feedforwardModules.some((name) => matchSuffix(name, path)),
  }),

  parameters: ({ inFeatures, outFeatures }, { feedforward }) => [
    {
      suffix: L,
      shape: feedforward ? [1, inFeatures] : [outFeatures, 1],
    },
  ],

  start: ({ trained: { [L]: l } }) => {
    l?.data.fill(1);
  },

  formsWeight: false,

  adapt: (site, x, { [L]: l }, { feedforward }) => {
    const { inFeatures, outFeatures } = site.spec;
    return feedforward
      ? site.project(mul(x, reshape(l!, [inFeatures])))
      : mul(site.project(x), reshape(l!, [outFeatures]));
  },

  adaptRows: (site, x, { [L]: l }, { feedforward }) => {
    const { inFeatures, outFeatures } = site.spec;
    const perRow = reshape(l!, [l!.shape[0] as Dim, 1, feedforward ? inFeatures : outFeatures]);
    return feedforward ? site.project(mul(x, perRow)) : mul(site.project(x), perRow);
  },

  merge: ({ weight, bias }, { [L]: l }, { outFeatures }, { feedforward }) => ({
    weight: mul(weight, l!),
    bias: bias && !feedforward ? mul(bias, reshape(l!, [outFeatures])) : bias,
  }),

  algebra: {
    kind: "vectors",
    suffixes: [L],
    sizeOf: ({ [L]: l }) => {
      const [rows, columns] = l?.shape ?? [1, 1];
      return { kind: "linear", inFeatures: columns ?? 1, outFeatures: rows ?? 1 };
    },
    toChange: ({ tensors: { [L]: l } }) => ({ l: Float64Array.from(l!.data, (value) => value - 1) }),
    fromChange: ({ l: change }, { tensors: { [L]: l } }) => ({
      [L]: hostTensor(
        "float32",
        l!.shape,
        Float32Array.from(change!, (value) => 1 + value),
      ),
    }),
    optionsOf: (sites) => {
      const feedforward = new Map([...sites].map(([path, site]) => [path, site.feedforward]));
      return { feedforwardModules: Object.keys(toPatterns(feedforward, false).others) };
    },
  },

  toPeft: (_options, targets, sites, paths) => ({
    ...modulesForFile(
      targets,
      paths.filter((_, i) => !sites[i]?.feedforward),
      paths.filter((_, i) => sites[i]?.feedforward),
    ),
    fan_in_fan_out: false,
    init_ia3_weights: true,
  }),

  fromPeft: (raw) => {
    const modules = raw["feedforward_modules"] ?? [];
    delete raw["init_ia3_weights"];
    // A text is an expression for whole paths, which is not implemented: it stays, to be refused.
    if (typeof modules !== "string") delete raw["feedforward_modules"];
    return { feedforwardModules: typeof modules === "string" ? [] : modules };
  },
});

/** PEFT wants the feed-forward modules to be some of the targets: where a name means others too, both are whole paths. */
function modulesForFile(
  targets: readonly string[],
  others: readonly string[],
  feedforward: readonly string[],
): Readonly<Record<string, readonly string[]>> {
  const names = targets.filter(
    (name) =>
      feedforward.some((path) => matchSuffix(name, path)) && !others.some((path) => matchSuffix(name, path)),
  );
  const areAllNamed = feedforward.every((path) => names.some((name) => matchSuffix(name, path)));
  return areAllNamed
    ? { feedforward_modules: names }
    : { feedforward_modules: feedforward, target_modules: [...others, ...feedforward] };
}
