/** @file Which rows of the embedding and of the head a method trains beside an adapter, and the errors if it cannot. */
import { UsageError } from "../../errors.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { ModelTensor } from "../../models/graphs/sites.ts";
import type { Model } from "../../models/model.ts";
import { isWithin, lastNames, matchSuffix, moduleOf } from "../../models/module-path.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { type Method, trainedTokens } from "../method.ts";
import { type Sites, savedModules } from "./trained-tensors.ts";
import { type TrainedTokens, tokenLists } from "./trained-tokens.ts";

/** PEFT's name for the rows, after the module's path. */
export const ROWS = "token_adapter.trainable_tokens_delta";

/** Rows of a table of the base that are trained as a separate tensor. */
export interface TrainedRows extends ModelTensor {
  readonly rows: {
    /** The name of the base's tensor that stores the table. */
    readonly table: string;
    readonly ids: readonly number[];
    /** The modules that use the rows: the one that they are named after, then those tied to it. */
    readonly readers: readonly [string, ...string[]];
  };
}

/** A tensor of the base that is trained: whole, or some of its rows. */
export type TrainedTensor = ModelTensor & Partial<Pick<TrainedRows, "rows">>;

/**
 * Lists the rows that a method trains, one tensor for each module with rows of its own. As in peft, a tied head uses those of the
 * embedding unless different ones are given for it.
 * @throws UsageError "usage/target-modules" for tokens that the model does not have, or tables that are also trained in another way
 */
export function trainedRows(
  model: Model,
  method: Method,
  options: unknown,
  sites: Sites,
): readonly TrainedRows[] {
  const idsOf = idsByModule(model, trainedTokens(method, options));
  const tied = [...model.ties].map(([own, table]) => [moduleOf(own), moduleOf(table)] as const);
  for (const [own, table] of tied) {
    if (idsOf.get(own)?.join() === idsOf.get(table)?.join()) idsOf.delete(own);
  }
  const whole = savedModules(model, method, options, sites);
  return [...idsOf].map(([module, ids]) => {
    const others = tied.flatMap(([own, table]) => (table === module && !idsOf.has(own) ? [own] : []));
    const readers = [module, ...others] as const;
    for (const reader of readers) refuseOtherwiseTrained(reader, sites, whole);
    const { table, shape } = tableOf(model, module);
    const name = `${module}.${ROWS}`;
    const own = { name, path: name, shape: [ids.length, sizeAt(shape, 1)] };
    return { ...own, role: "embedding", layer: null, rows: { table, ids, readers } };
  });
}

/** Replaces the rows of a table [V, D] at the given ids by rows [k, D]. */
export function putRows(
  table: Float32Array,
  ids: readonly number[],
  { data, shape: [, width = 0] }: HostTensor<"float32">,
): void {
  for (const [i, id] of ids.entries()) table.set(data.subarray(i * width, (i + 1) * width), id * width);
}

/** Returns the ids of each module with rows of its own, in the order of `modulesOfTokens`. */
function idsByModule(model: Model, tokens: TrainedTokens): Map<string, readonly number[]> {
  const lists = tokenLists(tokens);
  const modules = lists.length === 0 ? [] : modulesOfTokens(model);
  const means = (name: string | null, path: string): boolean =>
    name === null ? path === modules[0] : matchSuffix(name, path);
  const odd = lists.find(([name]) => !modules.some((path) => means(name, path)));
  if (odd) {
    const names = lastNames(modules).join(" or ");
    throw cannotTrain(`"${odd[0]}" is not a token embedding, expected ${names}`, `Choose ${names}.`);
  }
  const found = new Map<string, readonly number[]>();
  for (const path of modules) {
    const [own, twice] = lists.filter(([name]) => means(name, path));
    if (twice) throw cannotTrain(`"${path}" is given twice`, "Give each module once.");
    if (own) found.set(path, requireIds(own[1], tableOf(model, path).shape[0]!));
  }
  return found;
}

/** Lists the modules that have a row for each token, the embedding of the ids first. */
function modulesOfTokens({ embedding, hasVocabularyHead, headTensor }: Model): readonly string[] {
  if (embedding) return [embedding.name, ...(hasVocabularyHead ? [moduleOf(headTensor.name)] : [])];
  throw cannotTrain(
    "the model has no token embedding, expected a model that reads text",
    "Leave the tokens out.",
  );
}

function tableOf(
  model: Model,
  module: string,
): { readonly table: string; readonly shape: readonly number[] } {
  const table = model.storedName(`${module}.weight`);
  return { table, shape: model.tensors.get(table)?.shape ?? [] };
}

function refuseOtherwiseTrained(module: string, sites: Sites, whole: readonly string[]): void {
  const hasAdapter = sites.has(module);
  if (!hasAdapter && !whole.some((name) => isWithin(name, module))) return;
  throw cannotTrain(
    `"${module}" ${hasAdapter ? "has an adapter" : "is trained whole"}, expected only its rows to be trained`,
    "Leave the module out of the target modules and the modules to save, or the tokens out.",
  );
}

function requireIds(tokens: readonly (number | string)[], numRows: number): readonly number[] {
  const ids = tokens.map((token) => {
    if (typeof token === "number" && token < numRows) return token;
    throw cannotTrain(
      `the model has no token ${JSON.stringify(token)}, expected ids from 0 to ${numRows - 1}`,
      "Give ids of the vocabulary; only graft train accepts texts.",
    );
  });
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice === undefined) return ids;
  throw cannotTrain(`token ${twice} is given twice, expected each once`, "Give each token once.");
}

function cannotTrain(found: string, hint: string): UsageError {
  return new UsageError("usage/target-modules", `Cannot train rows of single tokens: ${found}`, { hint });
}
