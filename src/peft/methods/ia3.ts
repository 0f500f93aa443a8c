/**
 * @file (IA)³: a learned vector scales the output of a projection, or the input of a feed-forward one.
 *
 *   y = l ∘ (x Wᵀ + b)   l [out, 1]        feed-forward:  y = (l ∘ x) Wᵀ + b   l [1, in]
 *
 * Paper: "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", arXiv:2205.05638,
 * section 3.3. l starts at 1, so the output starts as the base's.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { reshape } from "../../graph/ops/shapes/reshape.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import { toPatterns } from "../algebra/patterns.ts";
import { defineMethod } from "../define-method.ts";
import { ALL_LINEAR, NOTHING_FROZEN } from "../method.ts";
import { PLAIN_FILE, takesAll, areTransposed } from "../contract/adapter-file.ts";
import { perToken } from "../contract/batch-rule.ts";
import { lastNames, matchSuffix } from "../../models/module-path.ts";
import { MAX_PATTERN_LENGTH } from "../../untrusted/limits.ts";
import { matcher, readModules } from "../sites/targets.ts";
import {
  MODULES_TO_SAVE,
  WHOLE_MODULES,
  joinWholeModules,
  wholeModulesFromConfig,
  wholeModulesToConfig,
} from "../trained-base/whole-modules.ts";

const OPTIONS = z.strictObject({
  feedforwardModules: z
    .union([z.array(z.string()), z.string()])
    .nullable()
    .default(null)
    .describe(
      "targets whose input is scaled instead of their output, by name or by a regular expression for the whole path; default: the last ones of the feed-forward part",
    ),
  ...MODULES_TO_SAVE,
});
type Ia3Options = z.output<typeof OPTIONS>;

interface Ia3Site {
  readonly feedforward: boolean;
}

const L = "ia3_l";

export const ia3 = defineMethod<Ia3Options, Ia3Site>({
  kind: "adapter",
  name: "ia3",
  paper: {
    title: "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning",
    arxiv: "2205.05638",
  },
  learningRate: 4e-3,
  options: OPTIONS,
  // The published choice scales keys, values and the inner feed-forward activations.
  targets: { ...ALL_LINEAR, ...WHOLE_MODULES, roles: ["key", "value", "qkv", "down"] },

  // Always matched by name, as in PEFT: a module whose path ends like that of a feed-forward module counts as one.
  configure: ({ feedforwardModules: given }) => {
    const modules = typeof given === "string" ? readModules(given) : given;
    const isGiven = modules === null ? null : matcher(modules);
    return ({ path, sites }) => {
      if (modules !== null && typeof modules !== "string") requireTargets(modules, sites);
      const isMeant = isGiven ?? matcher(sites.filter(({ role }) => role === "down").map(({ name }) => name));
      return { feedforward: isMeant(path) };
    };
  },

  trained: {
    specs: (site, options) => [{ suffix: L, shape: shapeOf(site, options) }],
    init: ({ tensors: { [L]: l } }) => {
      l?.data.fill(1);
    },
    initialChange: "none",
  },
  frozen: NOTHING_FROZEN,

  adapt: (site, x, { [L]: l }, { feedforward }) => {
    const { inFeatures, outFeatures } = site.spec;
    return feedforward
      ? site.project(mul(x, reshape(l!, [inFeatures])))
      : mul(site.project(x), reshape(l!, [outFeatures]));
  },

  materializesWeight: () => false,

  lookup: "not-on-embeddings",

  batch: {
    ofBase: null,
    added: null,
    form: ({ [L]: l }, _site, options) => ({ tensors: { [L]: perToken(l!.data) }, options }),
    identity: ({ inFeatures, outFeatures }, options) => {
      const ones = new Float32Array(options.feedforward ? inFeatures : outFeatures).fill(1);
      return { tensors: { [L]: perToken(ones) }, options };
    },
    adapt: (site, x, { [L]: l }, { feedforward }) =>
      feedforward ? site.project(mul(x, l!)) : mul(site.project(x), l!),
  },

  merge: {
    graph: ({ weight, bias }, { [L]: l }, { outFeatures }, { feedforward }) => ({
      weight: mul(weight, l!),
      bias: bias && !feedforward ? mul(bias, reshape(l!, [outFeatures])) : bias,
    }),
    stored: "requantized",
  },

  algebra: {
    kind: "vectors",
    isLinear: true,
    refuses: () => null,
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
    product: "none",
    optionsOf: (sites, terms) => {
      const feedforward = new Map([...sites].map(([path, site]) => [path, site.feedforward]));
      return {
        feedforwardModules: Object.keys(toPatterns(feedforward, false).others),
        ...joinWholeModules(terms),
      };
    },
  },

  file: {
    ...PLAIN_FILE,
    peftType: "IA3",
    readBy: (_, paths, takes) => (takesAll(paths, takes) ? "peft" : "graft"),
    toConfig: (options, sites, names) => ({
      ...wholeModulesToConfig(options),
      ...modulesForFile(
        names,
        sites.filter(({ options }) => !options.feedforward).map(({ path }) => path),
        sites.filter(({ options }) => options.feedforward).map(({ path }) => path),
      ),
      fan_in_fan_out: areTransposed(sites),
      init_ia3_weights: true,
    }),
    fromConfig: (take, { target_modules: targets, exclude_modules: excluded }) => {
      take("init_ia3_weights");
      const given = take("feedforward_modules") ?? [];
      // peft requires feedforward_modules to be among the targets only if these are a list, and before it applies exclusions.
      const mayBeOthers = typeof targets === "string" || excluded != null;
      // A string is an expression, even without special characters.
      const feedforwardModules =
        typeof given === "string" ? `(?:${given})` : mayBeOthers ? expressionOf(given) : given;
      return { feedforwardModules, ...wholeModulesFromConfig(take) };
    },
  },
});

/** Refuses names that are not targets, as peft does: the modules that were meant would silently be scaled at their outputs. */
function requireTargets(names: readonly string[], sites: readonly SiteSpec[]): void {
  const others = names.filter(
    (given) => !sites.some(({ name }) => matchSuffix(given, name) || matchSuffix(name, given)),
  );
  if (others.length === 0) return;
  const targets = lastNames(sites.map(({ name }) => name)).join(", ");
  throw new UsageError(
    "usage/target-modules",
    `Cannot scale the input of ${others.join(", ")}: no target has this name, expected some of ${targets}`,
    { hint: "Add them to the target modules, or leave them out of the feed-forward modules." },
  );
}

/**
 * Turns names into a regular expression, which may match nothing; anything but a list of names is returned unchanged, to be
 * refused later.
 */
function expressionOf(names: unknown): unknown {
  if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === "string"))
    return names;
  // Too long for an expression, in which a character may take two: only graft writes such lists, of whole paths of targets.
  if (2 * names.join("|").length + 16 > MAX_PATTERN_LENGTH) return names;
  return `(?:.*\\.)?(?:${names.map((name) => name.replaceAll(/\W/g, "\\$&")).join("|")})`;
}

function shapeOf({ inFeatures, outFeatures }: SiteSpec, { feedforward }: Ia3Site): [number, number] {
  return feedforward ? [1, inFeatures] : [outFeatures, 1];
}

/**
 * PEFT requires the feed-forward modules to be among the targets: if a name would match other targets too, both lists are whole paths.
 */
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
