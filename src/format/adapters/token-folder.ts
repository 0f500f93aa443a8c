/**
 * @file Folders of peft's TRAINABLE_TOKENS, which hold rows of single tokens and nothing else. Here such rows have the names that
 * they have beside an adapter.
 */
import { ROWS } from "../../peft/trained-base/trained-rows.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { PREFIX } from "./adapter-tensors.ts";

const TYPE = "TRAINABLE_TOKENS";
/** What that type calls the rows, after the module's path. */
const OWN_ROWS = "trainable_tokens_delta";

/** What a folder holds, by the names of its files. */
interface Contents<T extends HostTensor> {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, T>;
}

/** A folder of the type with the keys and names of rows beside an adapter; any other as it is. */
export function fromTokenFolder<T extends HostTensor>(folder: Contents<T>): Contents<T> {
  const { peft_type: type, token_indices: ids, init_weights: _, ...others } = folder.config;
  if (type !== TYPE) return folder;
  const modules = modulesWith(OWN_ROWS, folder.tensors);
  // The names of its tensors say where the rows are: of what its targets mean, a tied head follows the embedding.
  const tokens = modules.length === 0 ? ids : Object.fromEntries(modules.map((module) => [module, ids]));
  return {
    config: { ...others, peft_type: TYPE, target_modules: [], trainable_token_indices: tokens },
    tensors: renamed(OWN_ROWS, ROWS, folder.tensors),
  };
}

/** Heads by their paths, with those of the tables that they are tied to. */
export type TiedModules = readonly (readonly [head: string, table: string])[];

/**
 * The reverse: no module with an adapter, and the same tokens in all modules that have rows. As peft does it, a tied head has the
 * rows of its table once more.
 */
export function toTokenFolder<T extends HostTensor>(folder: Contents<T>, ties: TiedModules): Contents<T> {
  const { target_modules: targets, trainable_token_indices: tokens = {}, ...others } = folder.config;
  const modules = modulesWith(ROWS, folder.tensors);
  const lists: unknown[] = Array.isArray(tokens) ? [tokens] : Object.values(tokens as object);
  const isAlike = new Set(lists.map(String)).size === 1 && modules.length === folder.tensors.size;
  if (!Array.isArray(targets) || targets.length > 0 || !isAlike) return folder;
  const kept = ["auto_mapping", "base_model_name_or_path", "revision", "task_type"];
  return {
    config: {
      ...Object.fromEntries(kept.map((key) => [key, others[key] ?? null])),
      init_weights: true,
      peft_type: TYPE,
      // Of a list with the embedding of a tied model peft warns, of the one name that it writes itself not.
      target_modules: modules.length === 1 ? modules[0] : modules,
      token_indices: lists[0],
    },
    tensors: withTiedRows(renamed(ROWS, OWN_ROWS, folder.tensors), ties),
  };
}

function withTiedRows<T>(tensors: ReadonlyMap<string, T>, ties: TiedModules): ReadonlyMap<string, T> {
  const copies = ties.flatMap(([head, table]): (readonly [string, T])[] => {
    const copy = `${PREFIX}${head}.${OWN_ROWS}`;
    const found = tensors.get(`${PREFIX}${table}.${OWN_ROWS}`);
    return found === undefined || tensors.has(copy) ? [] : [[copy, found]];
  });
  return new Map([...tensors, ...copies]);
}

function modulesWith(suffix: string, tensors: ReadonlyMap<string, unknown>): string[] {
  const end = `.${suffix}`;
  const names = [...tensors.keys()].filter((name) => name.startsWith(PREFIX) && name.endsWith(end));
  return names.map((name) => name.slice(PREFIX.length, -end.length));
}

function renamed<T>(from: string, to: string, tensors: ReadonlyMap<string, T>): Map<string, T> {
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name.endsWith(`.${from}`) ? name.slice(0, -from.length) + to : name,
      tensor,
    ]),
  );
}
