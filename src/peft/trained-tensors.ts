/** @file Which tensors of the base a method trains: its own choice, and modules that are trained whole beside an adapter. */
import { UsageError } from "../errors.ts";
import {
  type Architecture,
  type ModelConfig,
  type TensorSpec,
  headTensor,
  modelTensors,
} from "../models/architecture.ts";
import type { Method } from "./method.ts";
import { matchSuffix } from "./targets.ts";

/**
 * Lists the tensors of the base that a method trains. A tied head can be trained apart from the embedding, under its own
 * name. `sites`: the modules with an adapter, by path.
 * @throws UsageError "usage/target-modules" when a module to save is not there, or has an adapter.
 */
export function trainedTensors(
  architecture: Architecture,
  config: ModelConfig,
  method: Method,
  options: unknown,
  sites: { has(path: string): boolean },
): TensorSpec[] {
  const saved = method.modulesToSave?.(options) ?? [];
  const own = modelTensors(architecture, config);
  const { head } = architecture.names;
  const tied: TensorSpec[] = own.some(({ name }) => name === head)
    ? []
    : [{ name: head, shape: [config.vocabSize, config.width], role: "head" }];
  const paths = [...new Set([...own, ...tied].map(({ name }) => moduleOf(name)))];
  for (const module of saved) {
    const matched = paths.filter((path) => matchSuffix(module, path));
    if (matched.length === 0) throw noModule(module, paths);
    const both = matched.find((path) => sites.has(path));
    if (both !== undefined) throw twice(both);
  }
  const isSaved = ({ name }: TensorSpec): boolean =>
    saved.some((module) => matchSuffix(module, moduleOf(name)));
  return [
    ...own.filter((tensor) => method.trainsBase(tensor, options) || isSaved(tensor)),
    ...tied.filter(isSaved),
  ];
}

/** The tensor in which the base has the numbers of another: a tied head's are those of the embedding. */
export function storedName(architecture: Architecture, config: ModelConfig, tensor: string): string {
  return tensor === architecture.names.head ? headTensor(architecture, config) : tensor;
}

/** The module of a tensor of the base. */
function moduleOf(tensor: string): string {
  return tensor.slice(0, tensor.lastIndexOf("."));
}

function noModule(module: string, paths: readonly string[]): UsageError {
  const names = [...new Set(paths.map((path) => path.slice(path.lastIndexOf(".") + 1)))];
  return new UsageError(
    "usage/target-modules",
    `Cannot save module "${module}": no module matches, expected a name or path`,
    { hint: `Choose among ${names.join(", ")}` },
  );
}

function twice(path: string): UsageError {
  return new UsageError(
    "usage/target-modules",
    `Cannot put an adapter on "${path}": the module is trained whole, expected one of both`,
    { hint: `Leave "${path}" out of the target modules, or out of the modules to save` },
  );
}
