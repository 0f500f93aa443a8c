/** @file How the file of a combined adapter names its modules, determined without a model. */
import type { WeightsFolder } from "../../format/adapters/adapter-weights.ts";
import type { Combined } from "../../peft/algebra/combine.ts";

/**
 * How the file names its modules. Without the model only this is certain: names that all adapters share stay, short names without
 * further restrictions can be united, and full paths are always right.
 */
export function combinedTargets(
  folders: readonly WeightsFolder[],
  { sites }: Combined,
): string | string[] | null {
  const all = folders.map(({ targets }) => targets);
  const isPlain = all.every(({ exclude, layers }) => exclude.length === 0 && layers === null);
  const [first] = all;
  const areEqual = all.every(({ modules }) => JSON.stringify(modules) === JSON.stringify(first?.modules));
  if (isPlain && first && areEqual) {
    return typeof first.modules === "string" || first.modules === null ? first.modules : [...first.modules];
  }
  const lists = all.flatMap(({ modules }) => (Array.isArray(modules) ? [modules as readonly string[]] : []));
  const isComplete = folders.every(({ adapter }) =>
    [...adapter.sites.keys()].every((path) => sites.has(path)),
  );
  if (isPlain && isComplete && lists.length === all.length) return [...new Set(lists.flat())].sort();
  return [...sites.keys()].sort();
}
