/**
 * @file Makes a classifier from a base without classes: its configuration gets a head over classes, and tensors of that head that
 * its files lack are made as transformers does: normal around 0 with the deviation `initializer_range`, biases 0, norms 1.
 */
import { isWithin, lastName, moduleOf } from "../../models/module-path.ts";
import { numElements } from "../../graph/shape.ts";
import { withClasses } from "../../models/config/class-head.ts";
import type { ProblemType } from "../../models/config/classifier-config.ts";
import { openModel } from "../../models/families.ts";
import type { SiteSpec } from "../../models/graphs/sites.ts";
import type { Random } from "../../random.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { type Checkpoint, withTensorNames } from "./checkpoint.ts";
import { withHeldTensors } from "./held-tensors.ts";

const DEFAULT_DEVIATION = 0.02;

/** Gives a tied embedding its own name: files may have it only under the name of the old head, which is dropped. */
function withEmbedding(checkpoint: Checkpoint): Checkpoint {
  const { ties, checkpoint: rules } = openModel(checkpoint.config);
  const fileNames = new Map([...checkpoint.tensors.keys()].map((name) => [rules.rename(name), name]));
  const tensors = new Map(checkpoint.tensors);
  const inFile = new Map<string, string>();
  for (const [head, embedding] of ties) {
    const name = fileNames.get(head);
    const info = name === undefined ? undefined : tensors.get(name);
    if (name === undefined || info === undefined || fileNames.has(embedding)) continue;
    tensors.delete(name);
    tensors.set(embedding, { ...info, name: embedding });
    inFile.set(embedding, name);
  }
  return inFile.size === 0 ? checkpoint : withTensorNames(checkpoint, tensors, inFile);
}

/** Whether two modules lie in the same one. */
function isBeside(one: string, other: string): boolean {
  const outer = moduleOf(one);
  return outer !== "" && outer === moduleOf(other);
}

/**
 * Gives a checkpoint a head with outputs of these names, for a problem of classes or numbers. `random` null: its weights are zeros,
 * to be filled in by the caller.
 * @throws UsageError "usage/model" for a model that has classes already
 */
export function withFreshHead(
  base: Checkpoint,
  classNames: readonly string[],
  random: Random | null,
  problem?: ProblemType,
): Checkpoint {
  const config = withClasses(base.config, classNames, problem);
  const { wholeHead: head, checkpoint: rules, classPosition } = openModel(config);
  const checkpoint = classPosition === "last" ? withEmbedding(base) : base;
  const held = new Set([...checkpoint.tensors.keys()].map((name) => rules.rename(name)));
  const { initializer_range: given } = config;
  const deviation = typeof given === "number" ? given : DEFAULT_DEVIATION;
  const fresh = new Map<string, HostTensor<"float32">>();
  const isLacking = ({ name }: SiteSpec): boolean => !held.has(`${name}.weight`);
  // A norm belongs to the fresh head if it lies in the same module as one of its missing projections: "head.norm" and "head.dense".
  const isFresh = (module: string): boolean =>
    head.sites.some(
      (site) => isWithin(site.name, module) || (isLacking(site) && isBeside(site.name, module)),
    );
  for (const { name, shape, role } of head.tensors) {
    if (held.has(name) || !isFresh(moduleOf(name))) continue;
    const values = new Float32Array(numElements(shape)).fill(role === "norm" ? 1 : 0);
    if (random !== null && role !== "norm" && lastName(name) !== "bias") {
      for (let i = 0; i < values.length; i++) values[i] = deviation * random.normal();
    }
    fresh.set(name, hostTensor("float32", shape, values));
  }
  return { ...withHeldTensors(checkpoint, fresh), config, freshTensors: [...fresh.keys()] };
}
