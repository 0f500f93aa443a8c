/** @file The options of methods with two thin matrices as keys of PEFT's `adapter_config.json`, and back. */
import { toPatterns } from "../algebra/patterns.ts";
import { LOW_RANK_STARTS, startsFromWeight } from "./start.ts";
import { type AdapterFile, type FileSite, areNumbered, areTransposed } from "../contract/adapter-file.ts";
import { lowRankFromTensors, lowRankToTensors } from "./file.ts";
import type { LowRankOptions, LowRankSite } from "./low-rank.ts";
import { readsExperts, readsModules } from "./single-experts.ts";
import { patternValues } from "../sites/targets.ts";
import { tokenLists } from "../trained-base/trained-tokens.ts";
import { wholeModulesFromConfig, wholeModulesToConfig } from "../trained-base/whole-modules.ts";

/** Values of PEFT's `init_lora_weights` that do not change the base. */
const STARTS_BESIDE: readonly unknown[] = [undefined, true, false, "gaussian", "orthogonal", "eva"];
/** Values that subtract the start from the base, in a way that can be recomputed. */
const STARTS_FROM_WEIGHT: readonly unknown[] = LOW_RANK_STARTS.filter(startsFromWeight);

type Pattern = Readonly<Record<string, number>>;

/** The file of a method with two thin matrices; `use_dora` distinguishes these methods. */
export function lowRankFile(mark: { readonly use_dora: boolean }): AdapterFile<LowRankOptions, LowRankSite> {
  return {
    peftType: "LORA",
    readBy: (options, paths, takes) => {
      const reads = mark.use_dora
        ? !areNumbered(paths) && paths.every((path) => takes(path).onModule && !takes(path).byWeight)
        : readsExperts(options, paths) && readsModules(options, paths, takes);
      return reads ? "peft" : "graft";
    },
    claims: (config) => (config["use_dora"] === true) === mark.use_dora,
    toConfig: (options, sites) => ({ ...toConfig(options, sites), ...mark }),
    fromConfig: (take, raw) => {
      take("use_dora");
      // DoRA has no such options, as peft refuses the combination.
      const own = mark.use_dora
        ? {}
        : { loraBias: take("lora_bias"), targetParameters: take("target_parameters") };
      return { ...fromConfig(take, raw), ...own };
    },
    toTensors: lowRankToTensors,
    fromTensors: lowRankFromTensors,
  };
}

/** Writes options as PEFT's keys. */
function toConfig(options: LowRankOptions, sites: readonly FileSite<LowRankSite>[]): Record<string, unknown> {
  const paths = sites.map(({ path }) => path);
  const { rank, alpha, rslora, init, trainableTokenIndices: tokens = [] } = options;
  const isDouble = startsFromWeight(init);
  // Keeps the scale α/R, or α/√R.
  const [rankFactor, alphaFactor] = isDouble ? [2, rslora ? Math.SQRT2 : 2] : [1, 1];
  return {
    r: rank * rankFactor,
    lora_alpha: alpha * alphaFactor,
    lora_dropout: options.dropout,
    use_rslora: rslora,
    bias: options.bias,
    lora_bias: options.loraBias ?? false,
    fan_in_fan_out: areTransposed(sites),
    init_lora_weights: init === "gaussian" ? init : true,
    rank_pattern: times(withoutOverlap(options.rankPattern, rank, paths), rankFactor),
    alpha_pattern: times(withoutOverlap(options.alphaPattern, alpha, paths), alphaFactor),
    ...wholeModulesToConfig(options),
    ...(options.targetParameters?.length && { target_parameters: options.targetParameters }),
    ...(tokenLists(tokens).length > 0 && { trainable_token_indices: tokens }),
  };
}

function times(pattern: Pattern, factor: number): Pattern {
  return Object.fromEntries(Object.entries(pattern).map(([key, value]) => [key, value * factor]));
}

/** The first matching pattern counts, and files sort keys, so if sorting would change a value, patterns are replaced by full paths. */
function withoutOverlap(pattern: Pattern, common: number, paths: readonly string[]): Pattern {
  const sorted = Object.fromEntries(Object.entries(pattern).sort(([a], [b]) => (a < b ? -1 : 1)));
  const [valueOf, sortedValueOf] = [patternValues(pattern), patternValues(sorted)];
  const values = new Map(paths.map((path) => [path, valueOf(path) ?? common]));
  const isSame = paths.every((path) => (sortedValueOf(path) ?? common) === values.get(path));
  return isSame ? pattern : toPatterns(values, common).others;
}

/** Reads PEFT's keys as options for the schema. */
function fromConfig(
  take: (key: string) => unknown,
  { init_lora_weights: start }: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const init = start ?? undefined;
  const fromWeight = STARTS_FROM_WEIGHT.includes(init);
  // Other starts change the base in a way that cannot be repeated, so the file is useless without that base.
  if (fromWeight || STARTS_BESIDE.includes(init)) take("init_lora_weights");
  // Settings of how the start was computed, which no longer matter for the stored values.
  if (init === "eva") take("eva_config");
  return {
    rank: take("r"),
    alpha: take("lora_alpha") ?? 8,
    dropout: take("lora_dropout"),
    rslora: take("use_rslora"),
    init: fromWeight || init === "gaussian" ? init : "default",
    rankPattern: take("rank_pattern"),
    alphaPattern: take("alpha_pattern"),
    ...wholeModulesFromConfig(take),
    bias: take("bias"),
    trainableTokenIndices: take("trainable_token_indices") ?? undefined,
  };
}
