/** @file Which rows of the embedding a method trains beside an adapter, and why it cannot. */
import { UsageError } from "../errors.ts";
import type { ModelTensor } from "../models/graphs/sites.ts";
import type { Model } from "../models/model.ts";
import { isWithin, moduleOf } from "../models/module-path.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { type Method, trainedTokens } from "./method.ts";
import { savedModules } from "./trained-tensors.ts";

/** What PEFT calls the rows, after the module's path. */
export const ROWS = "token_adapter.trainable_tokens_delta";

/** Rows of a table of the base that are trained as a tensor of their own. */
export interface TrainedRows extends ModelTensor {
  readonly rows: { readonly table: string; readonly ids: readonly number[] };
}

/** A tensor of the base that is trained: whole, or some of its rows. */
export type TrainedTensor = ModelTensor & Partial<Pick<TrainedRows, "rows">>;

/** Modules with an adapter, by path. */
type Sites = { has(path: string): boolean };

/**
 * The rows of the embedding that a method trains, as a list of one tensor or none.
 * @throws UsageError "usage/target-modules" for tokens that the model does not have, or tables that are trained otherwise too
 */
export function trainedRows(
  model: Model,
  method: Method,
  options: unknown,
  sites: Sites,
): readonly TrainedRows[] {
  const tokens = trainedTokens(method, options);
  if (tokens.length === 0) return [];
  const table = tableOfTokens(model);
  const readers = readersOf(model, table.name);
  const whole = savedModules(model, method, options, sites);
  const other = readers.find((path) => sites.has(path) || whole.some((name) => isWithin(name, path)));
  if (other !== undefined) {
    const found = sites.has(other) ? "has an adapter" : "is trained whole";
    throw cannotTrain(
      `"${other}" ${found}, expected its rows alone`,
      "Leave the module out of the target modules and the modules to save, or the tokens out.",
    );
  }
  const ids = requireIds(tokens, table.shape[0] as number);
  const name = `${moduleOf(table.name)}.${ROWS}`;
  const shape = [ids.length, table.shape[1] as number];
  return [{ name, path: name, shape, role: "embedding", layer: null, rows: { table: table.name, ids } }];
}

/** The table that ids of tokens are looked up in. */
export function tableOfTokens(model: Model): { readonly name: string; readonly shape: readonly number[] } {
  const site = model.stem.sites.find(
    ({ kind, inFeatures }) => kind === "embedding" && inFeatures === model.vocabSize,
  );
  if (site) return { name: `${site.name}.weight`, shape: [site.inFeatures, site.outFeatures] };
  throw cannotTrain(
    "the model has no table of tokens, expected a model that reads texts",
    "Leave the tokens out.",
  );
}

/** The modules that have a table, one of a tied head too. */
export function readersOf({ ties }: Pick<Model, "ties">, table: string): readonly string[] {
  const tied = [...ties].flatMap(([name, source]) => (source === table ? [name] : []));
  return [table, ...tied].map(moduleOf);
}

/** Puts rows [k, D] in the place of those of a table [V, D] that ids name. */
export function putRows(
  table: Float32Array,
  ids: readonly number[],
  { data, shape: [, width = 0] }: HostTensor<"float32">,
): void {
  for (const [i, id] of ids.entries()) table.set(data.subarray(i * width, (i + 1) * width), id * width);
}

function requireIds(tokens: readonly (number | string)[], numRows: number): readonly number[] {
  const ids = tokens.map((token) => {
    if (typeof token === "number" && token < numRows) return token;
    throw cannotTrain(
      `the model has no token ${JSON.stringify(token)}, expected ids from 0 to ${numRows - 1}`,
      "Give ids of the vocabulary; texts are read by trainings alone.",
    );
  });
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice === undefined) return ids;
  throw cannotTrain(`token ${twice} is there twice, expected each once`, "Name each token once.");
}

function cannotTrain(found: string, hint: string): UsageError {
  return new UsageError("usage/target-modules", `Cannot train single rows of the embedding: ${found}`, {
    hint,
  });
}
