/** @file The contract of a form of adapter files: how a program stores two thin matrices for each module. */
import { FormatError, UsageError } from "../errors.ts";
import type { GGUF_ENDING } from "../format/checkpoint/checkpoint.ts";
import type { LoadedModel } from "../format/by-path.ts";
import type { Provenance } from "../format/cards/model-card.ts";
import { showShape } from "../graph/shape.ts";
import { moduleOf } from "../models/module-path.ts";
import type { Model } from "../models/model.ts";
import type { SiteSpec } from "../models/graphs/sites.ts";
import type { FactorPair } from "../peft/algebra/contract.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";

export type FloatMatrix = HostTensor<"float32">;

/** The change of each module, scale · up · down, by the module's whole path. */
export type ModuleFactors = ReadonlyMap<string, FactorPair>;

export interface AdapterForm {
  readonly name: string;
  /** One sentence without a period: which programs read it. */
  readonly summary: string;
  /** A folder, or a file with this ending. */
  readonly keptIn: "folder" | typeof GGUF_ENDING;
  /** Whether its files name the model that they are for. */
  readonly namesModel: boolean;
  /** Whether a path is of this form; `names`: the names in a folder, null for a file. */
  isAt(path: string, names: readonly string[] | null): boolean;
  /**
   * Refuses an adapter whose settings alone show that it does not consist of two thin matrices for each module.
   * @throws UsageError "usage/adapter", FormatError for damaged files
   */
  requireFactors(path: string): Promise<void>;
  /**
   * Reads an adapter onto its model; the caller owns the numbers.
   * @throws UsageError "usage/adapter" for one of another model or kind, FormatError for damaged files
   */
  read(path: string, model: LoadedModel): Promise<ModuleFactors>;
  /**
   * Writes an adapter, whole or not at all. @throws UsageError "usage/adapter" for one that the form cannot represent;
   * FailedError "failed/write"
   */
  write(path: string, factors: ModuleFactors, model: LoadedModel, provenance: Provenance): Promise<void>;
}

/** The error for an adapter that a form cannot represent. */
export function cannotHold(form: string, found: string, hint: string): UsageError {
  return new UsageError("usage/adapter", `Cannot write an adapter as ${form}: ${found}`, { hint });
}

/**
 * Refuses an adapter on the token table of a model whose head is the same table: in peft it changes only the look-up, in mlx-lm
 * the head too, and llama.cpp aborts.
 * @throws UsageError "usage/adapter"
 */
export function requireOwnHead(form: string, factors: ModuleFactors, model: Model): void {
  const table = tableOfHead(factors, model);
  if (table === undefined) return;
  const hint = "Merge the adapter into the model (graft merge), or leave the module out in training.";
  throw cannotHold(form, `it is on "${table}", which is the model's head there too`, hint);
}

/** The error for an adapter whose files contain something that graft does not support. */
export function cannotConvert(path: string, found: string, expected: string, hint: string): UsageError {
  return new UsageError("usage/adapter", `Cannot convert adapter "${path}": ${found}, expected ${expected}`, {
    hint,
  });
}

/**
 * Finds the module of a pair of factors and checks their shapes against it, or against one of its `numParts` equal parts of rows.
 * @throws FormatError "format/tensor" when the model has no such module, or one of other sizes
 */
export function requireSite(
  { path, module }: { readonly path: string; readonly module: string },
  { down, up }: FactorPair,
  { base: { model } }: LoadedModel,
  numParts = 1,
): SiteSpec {
  const spec = model.siteOf(module);
  const found = `${showShape(down.shape)} and ${showShape(up.shape)} of "${module}"`;
  if (spec === undefined) throw unlikeModel(path, found, "modules that the model has");
  const [rank = 0, inFeatures] = down.shape;
  const outFeatures = spec.outFeatures / numParts;
  const fits = inFeatures === spec.inFeatures && up.shape[0] === outFeatures && up.shape[1] === rank;
  if (down.shape.length === 2 && up.shape.length === 2 && fits && rank > 0) return spec;
  throw unlikeModel(path, found, `[R, ${spec.inFeatures}] and [${outFeatures}, R]`);
}

/** The error for tensors without a place in the model. */
export function unlikeModel(path: string, found: string, expected: string): FormatError {
  return new FormatError(
    "format/tensor",
    `Cannot convert adapter "${path}": ${found}, expected ${expected}`,
    { hint: "Choose the model that the adapter was made for." },
  );
}

/** The token table that is also the model's head, if an adapter sits on it; undefined: none does. */
export function tableOfHead(factors: ModuleFactors, { ties }: Model): string | undefined {
  return [...ties.values()].map(moduleOf).find((module) => factors.has(module));
}
