/**
 * @file Folders of peft's TRAINABLE_TOKENS, which are rows of single tokens and nothing else: here LoRA on no module, beside
 * such rows.
 */
import { ROWS } from "../../peft/trained-rows.ts";
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

/** A folder of the type as one of LoRA; any other as it is. */
export function fromTokenFolder<T extends HostTensor>(folder: Contents<T>): Contents<T> {
  const { peft_type: type, token_indices: ids, init_weights: _, ...others } = folder.config;
  if (type !== TYPE) return folder;
  const modules = modulesWith(OWN_ROWS, folder.tensors);
  // The names of its tensors say where the rows are: of what its targets mean, a tied head follows the embedding.
  const tokens = modules.length === 0 ? ids : Object.fromEntries(modules.map((module) => [module, ids]));
  return {
    config: { ...others, peft_type: "LORA", target_modules: [], trainable_token_indices: tokens },
    tensors: renamed(OWN_ROWS, ROWS, folder.tensors),
  };
}

/** The reverse: LoRA on no module, which peft does not load, with the same tokens in all modules. */
export function toTokenFolder<T extends HostTensor>(folder: Contents<T>): Contents<T> {
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
      target_modules: modules,
      token_indices: lists[0],
    },
    tensors: renamed(ROWS, OWN_ROWS, folder.tensors),
  };
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
