/**
 * @file Whether PEFT computes what LoRA on single experts and routers does. transformers keeps the experts of a layer as two tensors, and PEFT makes
 * one adapter for each out of those of all experts, with one rank and scale, and never of gate and up alone.
 *
 * Source: peft/utils/transformers_weight_conversion.py; tried with peft 0.21.
 */
import { areNumbered } from "../contract/adapter-file.ts";
import type { PeftTakes } from "../../models/config/checkpoint-rules.ts";
import { lastName, matchSuffix } from "../../models/module-path.ts";
import { patternValues } from "../sites/targets.ts";
import type { LowRankOptions } from "./low-rank.ts";

/** Ends of paths to experts that PEFT knows: those of Qwen 2 and its kin, and of Mixtral. It passes over others. */
const KNOWN = /\.(?:mlp|block_sparse_moe)\.experts\.$/;
/** A path in parts: those before the second number, that of the expert, and what follows. */
const EXPERT = /^(?<experts>.*?\.\d+\.(?:.+\.)?)(?<index>\d+)\.(?<name>.+)$/;
/** The projection of which an adapter may be alone. */
const DOWN: readonly string[] = ["down_proj", "w2"];

/** Whether PEFT, which takes these adapters on each module, has LoRA on all of them, on some by their weight. */
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

/** Whether patterns leave modules the common rank and scale. */
function haveOneSize(
  { rank, alpha, rankPattern, alphaPattern }: LowRankOptions,
  paths: readonly string[],
): boolean {
  const [rankOf, alphaOf] = [patternValues(rankPattern), patternValues(alphaPattern)];
  return paths.every((path) => (rankOf(path) ?? rank) === rank && (alphaOf(path) ?? alpha) === alpha);
}

/** Whether PEFT reads LoRA with modules of these paths as it was trained; true where none is a single expert. */
export function readsExperts(options: LowRankOptions, paths: readonly string[]): boolean {
  const single = paths.filter((path) => areNumbered([path]));
  if (single.length === 0) return true;
  const { rslora, loraBias = false, dropout } = options;
  if (rslora || loraBias || dropout > 0) return false;
  return haveOneSize(options, single) && areWhole(single, paths) && !isNamedElsewhere(single, paths);
}

/** Whether a module that is no expert, as one of all tokens or of a layer without experts, is called as theirs are: PEFT passes over it. */
function isNamedElsewhere(single: readonly string[], paths: readonly string[]): boolean {
  const names = new Set(single.map(lastName));
  const known = new Set(single);
  const stacks = new Set(single.map((path) => EXPERT.exec(path)?.groups?.["experts"] ?? ""));
  const isOther = (path: string): boolean =>
    !known.has(path) && !stacks.has(path.slice(0, path.length - lastName(path).length));
  return paths.some((path) => names.has(lastName(path)) && isOther(path));
}

/** Whether each layer has its projections on all experts, and those that PEFT takes together, some maybe by their parameter. */
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
