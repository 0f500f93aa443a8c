/**
 * @file Whether PEFT reproduces LoRA on single experts and routers. transformers stores the experts of a layer as two tensors,
 * and PEFT joins the adapters of all experts into one for each tensor, with one rank and scale, and never only for gate and up.
 *
 * Source: peft/utils/transformers_weight_conversion.py; tried with peft 0.21.
 */
import { areNumbered } from "../contract/adapter-file.ts";
import type { PeftTakes } from "../../models/config/checkpoint-rules.ts";
import { lastName, matchSuffix } from "../../models/module-path.ts";
import { patternValues } from "../sites/targets.ts";
import type { LowRankOptions } from "./low-rank.ts";

/** Path suffixes of experts that PEFT knows: those of Qwen 2 and similar models, and of Mixtral. It ignores others. */
const KNOWN = /\.(?:mlp|block_sparse_moe)\.experts\.$/;
/** Splits a path at its second number, that of the expert. */
const EXPERT = /^(?<experts>.*?\.\d+\.(?:.+\.)?)(?<index>\d+)\.(?<name>.+)$/;
/** The projection that may be the only one with an adapter. */
const DOWN: readonly string[] = ["down_proj", "w2"];

/** Whether PEFT supports LoRA on all modules, for some by their weight; `takes`: the adapters that it supports on a module. */
export function readsModules(
  options: LowRankOptions,
  paths: readonly string[],
  takes: (path: string) => PeftTakes,
): boolean {
  const { targetParameters = [], loraBias = false, dropout } = options;
  const isPlain = dropout === 0 && !loraBias;
  const isNamed = (path: string): boolean =>
    targetParameters.some((name) => matchSuffix(name, `${path}.weight`));
  return paths.every((path) => {
    const { onModule, byWeight } = takes(path);
    if (!byWeight) return onModule;
    return isNamed(path) || (onModule && isPlain && haveOneSize(options, [path]));
  });
}

/** Whether all these modules have the common rank and scale, despite patterns. */
function haveOneSize(
  { rank, alpha, rankPattern, alphaPattern }: LowRankOptions,
  paths: readonly string[],
): boolean {
  const [rankOf, alphaOf] = [patternValues(rankPattern), patternValues(alphaPattern)];
  return paths.every((path) => (rankOf(path) ?? rank) === rank && (alphaOf(path) ?? alpha) === alpha);
}

/** Whether PEFT reproduces LoRA on modules of these paths; true if none is a single expert. */
export function readsExperts(options: LowRankOptions, paths: readonly string[]): boolean {
  const single = paths.filter((path) => areNumbered([path]));
  if (single.length === 0) return true;
  const { rslora, loraBias = false, dropout } = options;
  if (rslora || loraBias || dropout > 0) return false;
  return haveOneSize(options, single) && areWhole(single, paths) && !isNamedElsewhere(single, paths);
}

/**
 * Whether a module outside the experts, such as a shared expert or a layer without experts, has the name of an expert's module;
 * PEFT ignores it.
 */
function isNamedElsewhere(single: readonly string[], paths: readonly string[]): boolean {
  const names = new Set(single.map(lastName));
  const known = new Set(single);
  const stacks = new Set(single.map((path) => EXPERT.exec(path)?.groups?.["experts"] ?? ""));
  const isOther = (path: string): boolean =>
    !known.has(path) && !stacks.has(path.slice(0, path.length - lastName(path).length));
  return paths.some((path) => names.has(lastName(path)) && isOther(path));
}

/**
 * Whether in each layer all experts have adapters on the same projections, and on all that PEFT joins; some may be targeted as
 * parameters.
 */
function areWhole(single: readonly string[], paths: readonly string[]): boolean {
  const layers = new Map<string, Map<string, number>>();
  let numExperts = 0;
  for (const path of single) {
    const { experts = "", index = "", name = "" } = EXPERT.exec(path)?.groups ?? {};
    const counts = layers.get(experts) ?? new Map<string, number>();
    layers.set(experts, counts.set(name, (counts.get(name) ?? 0) + 1));
    numExperts = Math.max(numExperts, Number(index) + 1);
  }
  return [...layers].every(([experts, counts]) => {
    if (!KNOWN.test(experts)) return false;
    const stacks = paths.filter((path) => path === experts + lastName(path));
    const numParts = counts.size + stacks.length;
    const isDown = numParts === 1 && [...counts.keys()].every((name) => DOWN.includes(name));
    return [...counts.values()].every((count) => count === numExperts) && (numParts === 3 || isDown);
  });
}
