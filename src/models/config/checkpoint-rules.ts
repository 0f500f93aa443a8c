/** @file Names of tensors in the files of a family and in those of peft, and which tensors are not needed. */
import type { DecoderNames } from "./decoder-names.ts";
import type { RawConfig } from "./raw-config.ts";

/** How other programs store the tensors of a family. */
export interface CheckpointRules {
  /** Returns graft's name for a tensor in a file. */
  rename(fileName: string): string;
  /** Returns the path of a module or tensor in peft, which is that in transformers' class. */
  peftPath(path: string): string;
  /** Returns the config.json of a folder that holds exactly graft's tensors, under graft's names. */
  ownConfig(config: RawConfig): RawConfig;
  /** Returns the configuration with a separate matrix for the head, from one whose head shares the embedding's. */
  untiedConfig(config: RawConfig): RawConfig;
  /** Names in files of tensors that are not needed, such as computed buffers. */
  readonly ignored: RegExp;
  /** Returns where a folder that graft writes has the tensor of this name. */
  inFolder(name: string): FolderPlace;
  /** How MLX's files differ; null: not at all. */
  readonly mlx: MlxRules | null;
  /** Which adapters PEFT supports on a module. */
  readonly peftTakes: (path: string) => PeftTakes;
}

/** Which adapters PEFT supports on a module. */
export interface PeftTakes {
  /** LoRA on the module, and DoRA unless `byWeight`. */
  readonly onModule: boolean;
  /** LoRA on the module's weight, by `target_parameters`; LoRA on the module is turned into this. */
  readonly byWeight: boolean;
  /** Methods other than LoRA and DoRA. */
  readonly others: boolean;
}

/** A module like any other. */
export const TAKES_ANY: PeftTakes = { onModule: true, byWeight: false, others: true };
const WEIGHT_ALONE: PeftTakes = { onModule: false, byWeight: true, others: false };

/**
 * The default for families: transformers has special classes for routers, for which PEFT has no adapters, but PEFT converts those
 * for modules called `gate`.
 *
 * Source: peft/utils/transformers_weight_conversion.py; tried with peft 0.21.
 */
export function usualPeftTakes(path: string): PeftTakes {
  if (path.endsWith(".router")) return WEIGHT_ALONE;
  return path.endsWith(".gate") ? { ...WEIGHT_ALONE, onModule: true } : TAKES_ANY;
}

/** The same in families for which PEFT converts nothing: it supports neither their routers nor single experts. */
export function peftTakesNoExperts(path: string): PeftTakes {
  if (path.endsWith(".gate")) return WEIGHT_ALONE;
  return /\.experts\.\d+\.\w+$/.test(path) ? { onModule: false, byWeight: false, others: false } : TAKES_ANY;
}

/** The place of a tensor in a folder. */
export interface FolderPlace {
  readonly name: string;
  /** Its place within a tensor of all experts; null: it is the whole tensor. */
  readonly stack: FolderStack | null;
}

/** A part of a stacked tensor with the matrices of all experts, [experts, matrices per expert · out, in], or vectors, [experts, out]. */
export interface FolderStack {
  /** Index of the matrix among all. */
  readonly index: number;
  /** Matrices of one expert. */
  readonly numParts: number;
  /** Whether matrices are transposed, [experts, in, out]; default: they are not. */
  readonly isTurned?: true;
}

/**
 * Returns the place of an expert's matrix in folders that stack all experts in two tensors, gate and up together; null: the name
 * is not of such a matrix. `matrix` has groups for the `prefix`, the `expert` and the `part`.
 */
export function inExpertStacks(
  name: string,
  matrix: RegExp,
  stacks: { readonly gateUp: string; readonly down: string },
): FolderPlace | null {
  const { prefix, expert, part } = matrix.exec(name)?.groups ?? {};
  if (prefix === undefined) return null;
  const [own, index, numParts] =
    part === "down"
      ? [stacks.down, Number(expert), 1]
      : [stacks.gateUp, 2 * Number(expert) + Number(part === "up"), 2];
  return { name: prefix + own, stack: { index, numParts } };
}

/** How files of MLX differ from those of transformers, by graft's names. */
export interface MlxRules {
  /** Factors of convolutions, [channels, taps, 1] instead of [channels, 1, taps]. */
  readonly taps: RegExp;
  /** Norms stored as 1 + w in files whose convolutions are stored that way; null: none. */
  readonly plusOne: RegExp | null;
  /** Two modules of a block that hold the two halves of one module's rows; null: there are none. */
  readonly split: { readonly first: string; readonly second: string; readonly whole: string } | null;
  /** Returns the path of a module in mlx-lm's class; null: it has another form there. */
  pathOf(path: string): string | null;
}

/**
 * MLX rules without differences, except for modules that have another form there, for which MLX's folders and adapters cannot be used.
 */
export const mlxWithout = (isOther: (path: string) => boolean): MlxRules => ({
  taps: /(?!)/,
  plusOne: null,
  split: null,
  pathOf: (path) => (isOther(path) ? null : path),
});

/** For families whose modules have other names in mlx-lm's class, though not in files, so that its adapters cannot be used. */
export const OTHERWISE_IN_MLX: MlxRules = mlxWithout(() => true);

/** Rules for files with graft's names of tensors; older ones also have buffers. */
export const PLAIN_CHECKPOINT: CheckpointRules = {
  rename: (name) => name,
  peftPath: (path) => path,
  ownConfig: (config) => config,
  untiedConfig: (config) => ({ ...config, tie_word_embeddings: false }),
  ignored: /rotary_emb\.inv_freq$/,
  inFolder: (name) => ({ name, stack: null }),
  mlx: null,
  peftTakes: usualPeftTakes,
};

/** Rules for files of models without a head, whose names may lack the prefix; `bare` matches such names. */
export function prefixedCheckpoint(prefix: string, bare: RegExp, ignored: RegExp): CheckpointRules {
  return { ...PLAIN_CHECKPOINT, rename: (name) => (bare.test(name) ? prefix + name : name), ignored };
}

/** Adds tensors that are not needed, such as those of a head for another task. */
export function withoutTensors(rules: CheckpointRules, ignored: RegExp): CheckpointRules {
  return { ...rules, ignored: new RegExp(`${rules.ignored.source}|${ignored.source}`) };
}

/**
 * Renames matrices of a feed-forward part or an expert, which MLX's files name as in Llama. Stacks are left alone, as they have
 * such names everywhere.
 */
export function ofMatrix(name: string, names: Readonly<Record<"gate" | "up" | "down", string>>): string {
  return name.replace(
    /(?<=(?<!\.experts)\.)(gate|up|down)_proj(?=\.)/,
    (_, part: keyof typeof names) => names[part],
  );
}

/** Rules for files of a decoder, where all names but the head's may lack their prefix "model.". */
export function bareCheckpoint(names: DecoderNames): CheckpointRules {
  const { embedding, positions, beside = [], finalNorm, blocks } = names;
  const { ignored = PLAIN_CHECKPOINT.ignored } = names;
  const prefix = blocks.slice(0, blocks.indexOf(".") + 1);
  const modules = [
    embedding,
    finalNorm,
    blocks.replace(/\.$/, ""),
    ...(positions === undefined ? [] : [positions]),
    ...beside,
  ];
  const bare = modules.map((name) => name.slice(prefix.length).replaceAll(".", "\\."));
  const rules = prefixedCheckpoint(prefix, new RegExp(`^(${bare.join("|")})\\.`), ignored);
  const { head = "lm_head", headInClass = head } = names;
  return {
    ...rules,
    rename: (name) => rules.rename(moved(name, headInClass, head)),
    peftPath: (path) => moved(path, head, headInClass),
  };
}

/** Replaces module `from` by `to` in the path of a module or tensor. */
function moved(path: string, from: string, to: string): string {
  return path === from || path.startsWith(`${from}.`) ? to + path.slice(from.length) : path;
}
