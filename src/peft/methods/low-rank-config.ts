/** @file The options of methods with two thin matrices as keys of PEFT's `adapter_config.json`, and back. */
import { toPatterns } from "../algebra/patterns.ts";
import { startsFromWeight } from "./low-rank-start.ts";
import type { LowRankOptions } from "./low-rank.ts";
import { matchPattern } from "../targets.ts";
import { takeFrom } from "./raw-config.ts";

/** Values of PEFT's `init_lora_weights` that leave the base as it is. */
const STARTS_BESIDE: readonly unknown[] = [undefined, true, false, "gaussian", "orthogonal", "eva"];
/** Those that take their start out of the base, which can be made again. */
const STARTS_FROM_WEIGHT: readonly unknown[] = ["pissa", "olora"];

type Pattern = Readonly<Record<string, number>>;

/** Writes options as PEFT's keys; `paths`: the modules that are adapted. */
export function lowRankToPeft(options: LowRankOptions, paths: readonly string[]): Record<string, unknown> {
  const { rank, alpha, rslora, init } = options;
  const isDouble = startsFromWeight(init);
  // The scale stays: α/R, or α/√R.
  const [rankFactor, alphaFactor] = isDouble ? [2, rslora ? Math.SQRT2 : 2] : [1, 1];
  return {
    r: rank * rankFactor,
    lora_alpha: alpha * alphaFactor,
    lora_dropout: options.dropout,
    use_rslora: rslora,
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: init === "gaussian" ? init : true,
    rank_pattern: times(withoutOverlap(options.rankPattern, rank, paths), rankFactor),
    alpha_pattern: times(withoutOverlap(options.alphaPattern, alpha, paths), alphaFactor),
    modules_to_save: options.modulesToSave.length > 0 ? options.modulesToSave : null,
  };
}

function times(pattern: Pattern, factor: number): Pattern {
  return Object.fromEntries(Object.entries(pattern).map(([key, value]) => [key, value * factor]));
}

/** The first key that matches counts, and files sort the keys: where that gives other values, keys are made apart. */
function withoutOverlap(pattern: Pattern, common: number, paths: readonly string[]): Pattern {
  const sorted = Object.fromEntries(Object.entries(pattern).sort(([a], [b]) => (a < b ? -1 : 1)));
  const values = new Map(paths.map((path) => [path, matchPattern(pattern, path) ?? common]));
  const isSame = paths.every((path) => (matchPattern(sorted, path) ?? common) === values.get(path));
  return isSame ? pattern : toPatterns(values, common).others;
}

/** Reads PEFT's keys as options for the schema; what it reads, it removes from `raw`. */
export function lowRankFromPeft(raw: Record<string, unknown>): Record<string, unknown> {
  const take = takeFrom(raw);
  const init = take("init_lora_weights");
  const fromWeight = STARTS_FROM_WEIGHT.includes(init);
  // Other starts change the base in a way that cannot be repeated: the numbers in the file mean nothing without it.
  if (!fromWeight && !STARTS_BESIDE.includes(init)) raw["init_lora_weights"] = init;
  if (raw["bias"] === "none") delete raw["bias"];
  return {
    rank: take("r"),
    alpha: take("lora_alpha") ?? 8,
    dropout: take("lora_dropout"),
    rslora: take("use_rslora"),
    init: fromWeight || init === "gaussian" ? init : "default",
    rankPattern: take("rank_pattern"),
    alphaPattern: take("alpha_pattern"),
    modulesToSave: take("modules_to_save"),
  };
}
