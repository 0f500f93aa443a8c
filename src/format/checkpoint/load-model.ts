/**
 * @file Loads a base model: finds its family, holds the file's tensors against what the family needs, reads them.
 *
 * Nothing is read before the list of tensors has been found right: every missing, surplus or misshaped one is named.
 */
import { FormatError } from "../../errors.ts";
import { type ModelConfig, modelTensors } from "../../models/architecture.ts";
import { findArchitecture } from "../../models/architectures.ts";
import { BaseModel, type WeightSource } from "../../models/base-model.ts";
import type { StoredTensor } from "../../quant/storage.ts";
import { type StorageName, dequantizeInto } from "../../quant/storages.ts";
import { type Checkpoint, type TensorInfo, openCheckpoint } from "./checkpoint.ts";

/** Tensors that checkpoints carry and no computation needs: tables that are computed, a tied head's copy. */
const IGNORED = /rotary_emb\.inv_freq$|attn\.(masked_)?bias$/;
/** How many names a message lists. */
const MAX_LISTED = 5;

/** How to load. */
export interface LoadOptions {
  /** Name for adapter files; default: the path. */
  readonly name?: string;
  /** Holds all weights in float32: faster, with more memory. */
  readonly keepWidened?: boolean;
}

/** A loaded model with its open checkpoint; whoever loads closes the checkpoint. */
export interface LoadedModel {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
}

/**
 * Loads a model from a folder or file.
 * @throws FormatError "format/tensor" when tensors do not fit the configuration; UsageError "usage/model".
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<LoadedModel> {
  const checkpoint = await openCheckpoint(path);
  try {
    return { base: await loadWeights(path, checkpoint, options), checkpoint };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** Reads the weights of an open checkpoint. @throws as `loadModel`. */
export async function loadWeights(
  path: string,
  checkpoint: Checkpoint,
  options: LoadOptions = {},
): Promise<BaseModel> {
  const architecture = findArchitecture(checkpoint.config);
  const config = architecture.readConfig(checkpoint.config);
  const specs = modelTensors(architecture, config);
  checkTensors(path, config, specs, checkpoint.tensors, architecture.names.head);
  return await BaseModel.open({
    name: options.name ?? path,
    architecture,
    config,
    source: openSource(checkpoint),
    keepWidened: options.keepWidened ?? false,
  });
}

/**
 * Tensors that a file can give straight into a buffer stay in the file (the system keeps what is used often in its own
 * cache, as with a mapped file); the others are held as they are kept from the first time that they are widened.
 */
function openSource(checkpoint: Checkpoint): WeightSource {
  const { readInto } = checkpoint;
  const storageOf = storageIn(checkpoint);
  if (readInto) return { storageOf, stored: (name) => checkpoint.read(name), readInto };
  const held = new Map<string, Promise<StoredTensor>>();
  const stored = (name: string): Promise<StoredTensor> => held.get(name) ?? checkpoint.read(name);
  return {
    storageOf,
    stored,
    readInto: async (name, into) => {
      const tensor = stored(name);
      held.set(name, tensor);
      dequantizeInto(await tensor, into);
    },
  };
}

/** How a checkpoint keeps each of its tensors. */
export function storageIn({ tensors }: Checkpoint): (name: string) => StorageName {
  return (name) => tensors.get(name)?.storage ?? "f32";
}

/** Bytes of memory that the weights of a checkpoint will take as they are kept. */
export function residentBytes({ readInto, tensors }: Checkpoint): number {
  return readInto ? 0 : [...tensors.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function checkTensors(
  path: string,
  config: ModelConfig,
  specs: readonly { readonly name: string; readonly shape: readonly number[] }[],
  found: ReadonlyMap<string, TensorInfo>,
  headName: string,
): void {
  const known = new Set(specs.map((spec) => spec.name));
  const missing = specs.filter((spec) => !found.has(spec.name)).map((spec) => spec.name);
  const surplus = [...found.keys()].filter(
    (name) => !known.has(name) && !IGNORED.test(name) && !(config.tiedHead && name === headName),
  );
  const misshaped = specs.flatMap(({ name, shape }) => {
    const info = found.get(name);
    if (!info || info.shape.join() === shape.join()) return [];
    return [`${name} is [${info.shape.join(", ")}], expected [${shape.join(", ")}]`];
  });
  const problems = [
    ...(missing.length > 0 ? [`missing ${list(missing)}`] : []),
    ...(surplus.length > 0 ? [`surplus ${list(surplus)}`] : []),
    ...(misshaped.length > 0 ? [list(misshaped)] : []),
  ];
  if (problems.length === 0) return;
  throw new FormatError("format/tensor", `Cannot load model "${path}": ${problems.join("; ")}`, {
    hint: "The tensors do not fit config.json; fetch the model again or mend the configuration",
  });
}

function list(names: readonly string[]): string {
  const rest = names.length - MAX_LISTED;
  return names.slice(0, MAX_LISTED).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
