/**
 * @file Folders of peft's TRAINABLE_TOKENS, which only hold rows of single tokens. Graft gives such rows the names that they have in
 * folders of other adapters.
 */
import { ROWS } from "../../peft/trained-base/trained-rows.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { PREFIX } from "./adapter-tensors.ts";

const TYPE = "TRAINABLE_TOKENS";
/** The name of the rows in that type, after the module's path. */
const OWN_ROWS = "trainable_tokens_delta";

/** The contents of a folder, under names of its files. */
interface Contents<T extends HostTensor> {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, T>;
}

/** Gives a folder of this type the keys and names that rows have with an adapter; other folders are returned unchanged. */
export function fromTokenFolder<T extends HostTensor>(folder: Contents<T>): Contents<T> {
  const { peft_type: type, token_indices: ids, init_weights: _, ...others } = folder.config;
  if (type !== TYPE) return folder;
  const modules = modulesWith(OWN_ROWS, folder.tensors);
  // Names of tensors tell where the rows are, not the targets: of these, a tied head only follows the embedding.
  const tokens = modules.length === 0 ? ids : Object.fromEntries(modules.map((module) => [module, ids]));
  return {
    config: { ...others, peft_type: TYPE, target_modules: [], trainable_token_indices: tokens },
    tensors: renamed(OWN_ROWS, ROWS, folder.tensors),
  };
}

/** Paths of heads, with those of the tables to which they are tied. */
export type TiedModules = readonly (readonly [head: string, table: string])[];

/**
 * Does the reverse, for a folder without adapters on modules and with the same tokens in all modules that have rows. As in peft,
 * the rows of a table are repeated for a head that is tied to it.
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
      // For a tied model, peft warns of a list with the embedding, but not of a single name, which it writes itself.
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
