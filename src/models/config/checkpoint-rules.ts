/** @file How tensors are called in the files of a family and in peft's, and which of them are not needed. */
import type { DecoderNames } from "./decoder-names.ts";
import type { RawConfig } from "./raw-config.ts";

/** How the tensors of a family lie in the files of others. */
export interface CheckpointRules {
  /** The name here of a tensor in a file. */
  rename(fileName: string): string;
  /** The path of a module or tensor as peft has it: that of transformers' class. */
  peftPath(path: string): string;
  /** The config.json of a folder that holds the tensors under their names here, and no others. */
  ownConfig(config: RawConfig): RawConfig;
  /** The configuration of a model whose head is a matrix of its own, from that of one that reads the embedding's. */
  untiedConfig(config: RawConfig): RawConfig;
  /** Names in files of tensors that are not needed: buffers that are computed. */
  readonly ignored: RegExp;
  /** How a folder that is written holds a tensor of this name here. */
  inFolder(name: string): FolderPlace;
  /** What MLX keeps otherwise; null: nothing. */
  readonly mlx: MlxRules | null;
  /** Which adapters PEFT takes on the module of a path. */
  readonly peftTakes: (path: string) => PeftTakes;
}

/** Which adapters PEFT takes on a module. */
export interface PeftTakes {
  /** LoRA on the module, and DoRA unless `byWeight`. */
  readonly onModule: boolean;
  /** LoRA on the module's weight, as `target_parameters` have it, and which one on the module becomes. */
  readonly byWeight: boolean;
  /** Methods but LoRA and DoRA. */
  readonly others: boolean;
}

/** A module like any other. */
export const TAKES_ANY: PeftTakes = { onModule: true, byWeight: false, others: true };
const WEIGHT_ALONE: PeftTakes = { onModule: false, byWeight: true, others: false };

/**
 * Which adapters PEFT takes where a family says nothing else: transformers has routers as classes of their own, which PEFT has no adapters
 * for; of those that are called `gate` it knows what they were.
 *
 * Source: peft/utils/transformers_weight_conversion.py; tried with peft 0.21.
 */
export function usualPeftTakes(path: string): PeftTakes {
  if (path.endsWith(".router")) return WEIGHT_ALONE;
  return path.endsWith(".gate") ? { ...WEIGHT_ALONE, onModule: true } : TAKES_ANY;
}

/** The same in families that it does not know so: neither their routers nor their single experts. */
export function peftTakesNoExperts(path: string): PeftTakes {
  if (path.endsWith(".gate")) return WEIGHT_ALONE;
  return /\.experts\.\d+\.\w+$/.test(path) ? { onModule: false, byWeight: false, others: false } : TAKES_ANY;
}

/** A tensor of a folder, and where in it another lies. */
export interface FolderPlace {
  readonly name: string;
  /** Where it is in a tensor of all experts; null: it is the whole. */
  readonly stack: FolderStack | null;
}

/** A part of a tensor with the matrices of all experts, [experts, matrices of one · out, in], or with vectors, [experts, out]. */
export interface FolderStack {
  /** Which it is of all. */
  readonly index: number;
  /** Matrices of one expert. */
  readonly numParts: number;
  /** Whether matrices are turned round, [experts, in, out]; default: they are not. */
  readonly isTurned?: true;
}

/**
 * Where folders hold the matrix of an expert that have those of all in two tensors, gate and up in one; null: it is none. `matrix`
 * tells the `prefix` of such a name, the `expert` and the `part`.
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

/** Which tensors MLX keeps otherwise than transformers, by their names here. */
export interface MlxRules {
  /** Factors of convolutions, [channels, taps, 1] instead of [channels, 1, taps]. */
  readonly taps: RegExp;
  /** Norms that are 1 + w where convolutions are so; null: none. */
  readonly plusOne: RegExp | null;
  /** Modules of a block that hold the halves of the rows of one; null: none. */
  readonly split: { readonly first: string; readonly second: string; readonly whole: string } | null;
  /** The path of a module as mlx-lm's class has it; null: it has another form there. */
  pathOf(path: string): string | null;
}

/** What MLX does not keep otherwise but for modules that have another form there; neither its folders nor its adapters are of such a model. */
export const mlxWithout = (isOther: (path: string) => boolean): MlxRules => ({
  taps: /(?!)/,
  plusOne: null,
  split: null,
  pathOf: (path) => (isOther(path) ? null : path),
});

/** Of families whose modules have other names in mlx-lm's class, though not in files: its adapters are not theirs. */
export const OTHERWISE_IN_MLX: MlxRules = mlxWithout(() => true);

/** Files that name tensors as graft does, with the buffers that older ones carry. */
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

/** Files of models that may lack the head, and with it what their names begin with: `bare` tells such a name. */
export function prefixedCheckpoint(prefix: string, bare: RegExp, ignored: RegExp): CheckpointRules {
  return { ...PLAIN_CHECKPOINT, rename: (name) => (bare.test(name) ? prefix + name : name), ignored };
}

/** Files with tensors besides that are not needed, of a head for another task. */
export function withoutTensors(rules: CheckpointRules, ignored: RegExp): CheckpointRules {
  return { ...rules, ignored: new RegExp(`${rules.ignored.source}|${ignored.source}`) };
}

/** The name of a tensor of a feed-forward part, or of an expert, whose matrices MLX's files name as Llama's are; stacks have such names too. */
export function ofMatrix(name: string, names: Readonly<Record<"gate" | "up" | "down", string>>): string {
  return name.replace(
    /(?<=(?<!\.experts)\.)(gate|up|down)_proj(?=\.)/,
    (_, part: keyof typeof names) => names[part],
  );
}

/** Files of a decoder that may lack what all names but the head's begin with, "model.". */
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

/** The path of a module or tensor after `from`, where it is or lies in that module, has become `to`. */
function moved(path: string, from: string, to: string): string {
  return path === from || path.startsWith(`${from}.`) ? to + path.slice(from.length) : path;
}
