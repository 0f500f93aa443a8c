/** @file Which tensors of the base a method trains: its own, and modules and biases that options add. */
import { UsageError } from "../../errors.ts";
import { isWithin, lastName, lastNames, moduleOf } from "../../models/module-path.ts";
import type { Model } from "../../models/model.ts";
import type { ModelTensor } from "../../models/graphs/sites.ts";
import { type Method, modulesToSave, trainedBiases, trainsRole } from "../method.ts";

/** Modules with an adapter, by path. */
export type Sites = { has(path: string): boolean };

/**
 * Lists the tensors of the base that a method trains. A tied head can be trained separately from the embedding, under its own name.
 * @throws UsageError "usage/target-modules" when a module to save does not exist
 */
export function trainedTensors(model: Model, method: Method, options: unknown, sites: Sites): ModelTensor[] {
  const saved = savedModules(model, method, options, sites);
  const own = [...model.tensors.values()];
  const tied = model.ties.has(model.headTensor.name) ? [model.headTensor] : [];
  const paths = [...new Set([...own, ...tied].map(({ name }) => moduleOf(name)))];
  for (const module of saved) {
    const matched = paths.filter((path) => isWithin(module, path));
    if (matched.length === 0) throw noModule(module, paths);
  }
  const biases = trainedBiases(method, options);
  const isSaved = ({ name }: ModelTensor): boolean =>
    saved.some((module) => isWithin(module, moduleOf(name)));
  const isBias = ({ name }: ModelTensor): boolean =>
    lastName(name) === "bias" && (biases === "all" || (biases === "adapted" && sites.has(moduleOf(name))));
  return [
    ...own.filter((tensor) => trainsRole(method, tensor.role) || isSaved(tensor) || isBias(tensor)),
    ...tied.filter(isSaved),
  ];
}

/**
 * Names of the modules that are trained whole beside an adapter. A model that classifies texts must learn its classes, so by
 * default its head is included, unless an adapter is on it, as for peft's SEQ_CLS.
 */
export function savedModules(
  model: Model,
  method: Method,
  options: unknown,
  sites: Sites,
): readonly string[] {
  const named = modulesToSave(method, options);
  if (named !== null || model.task !== "sequence-classification") return named ?? [];
  const head = model.headModules;
  const hasAdapter = model.head.sites.some(
    ({ name }) => sites.has(name) && head.some((module) => isWithin(module, name)),
  );
  return hasAdapter ? [] : head;
}

function noModule(module: string, paths: readonly string[]): UsageError {
  return new UsageError(
    "usage/target-modules",
    `Cannot save module "${module}": no module matches, expected a name or path`,
    { hint: `Choose among ${lastNames(paths).join(", ")}.` },
  );
}
