/** @file Which tensors of the base a method trains: its own choice, and modules that are trained whole beside an adapter. */
import { UsageError } from "../errors.ts";
import { lastNames, matchSuffix, moduleOf } from "../module-path.ts";
import type { Model } from "../models/model.ts";
import type { ModelTensor } from "../models/sites.ts";
import { type Method, modulesToSave, trainsRole } from "./method.ts";

/**
 * Lists the tensors of the base that a method trains. A tied head can be trained apart from the embedding, under its own
 * name. `sites`: the modules with an adapter, by path.
 * @throws UsageError "usage/target-modules" when a module to save is not there, or has an adapter.
 */
export function trainedTensors(
  model: Model,
  method: Method,
  options: unknown,
  sites: { has(path: string): boolean },
): ModelTensor[] {
  const saved = modulesToSave(method, options);
  const own = [...model.tensors.values()];
  const tied = model.ties.has(model.headTensor.name) ? [model.headTensor] : [];
  const paths = [...new Set([...own, ...tied].map(({ name }) => moduleOf(name)))];
  for (const module of saved) {
    const matched = paths.filter((path) => matchSuffix(module, path));
    if (matched.length === 0) throw noModule(module, paths);
    const both = matched.find((path) => sites.has(path));
    if (both !== undefined) throw bothTrainedAndAdapted(both);
  }
  const isSaved = ({ name }: ModelTensor): boolean =>
    saved.some((module) => matchSuffix(module, moduleOf(name)));
  return [
    ...own.filter((tensor) => trainsRole(method, tensor.role) || isSaved(tensor)),
    ...tied.filter(isSaved),
  ];
}

function noModule(module: string, paths: readonly string[]): UsageError {
  return new UsageError(
    "usage/target-modules",
    `Cannot save module "${module}": no module matches, expected a name or path`,
    { hint: `Choose among ${lastNames(paths).join(", ")}.` },
  );
}

function bothTrainedAndAdapted(path: string): UsageError {
  return new UsageError(
    "usage/target-modules",
    `Cannot put an adapter on "${path}": the module is trained whole, expected one of both`,
    { hint: `Leave "${path}" out of the target modules, or out of the modules to save.` },
  );
}
