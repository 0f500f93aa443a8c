/**
 * @file How the GGUF files of a family differ from its Hugging Face folders: names of tensors and settings, and what a converter
 * changed in the numbers. These are only facts; `format/checkpoint/gguf/` reads and writes by them.
 */
import type { AttentionOptions } from "../../nn/builder.ts";
import type { RawConfig } from "./raw-config.ts";

/**
 * What a converter did to the tensors of a module:
 *   query-rows, key-rows   the halves of each head, which rotate together, lie row by row: (2, E/2) became (E/2, 2)
 *   qkv-rows               rows of one projection for all three lie part by part: (heads, 3, E) became (3, heads, E)
 *   value-rows             heads of values that share a key head lie apart: (keys, n, E) became (n, keys, E)
 *   last-value-rows        the same for the rows after those of queries and keys
 *   value-columns          the same for columns
 *   value-taps             `value-rows` and `taps`
 *   value-decay            `value-rows`, and logarithms a of decay rates are kept as -exp a
 *   plus-one               a norm that multiplies by 1 + w is kept as 1 + w
 *   row                    a matrix of one row is kept as a vector
 *   one-row                a matrix of one row is kept as such, or as a vector by programs that copy files
 *   taps                   factors of a convolution that folders keep as [channels, 1, taps] are kept as [channels, taps]
 *   as-row                 a vector is kept as a matrix with a row for each group, one where there are none
 *   as-column              a vector is kept as a matrix of one column
 *   decay-column           `as-column`, and logarithms a of decay rates are kept as -exp a
 *   transposed             a matrix that folders keep as [in, out] is kept as [out, in]
 *   stacked                matrices of all experts, or norms of all heads, are one tensor; `*` in the module's path stands for
 *                          the expert or head
 *   stacked-even-rows      `stacked` for the even rows of each matrix; another tensor holds the odd ones
 *   stacked-odd-rows       `stacked` for the odd rows
 *   first-half             it holds the first half of the rows of the folder's tensor
 *   second-half            it holds the second
 *   key-heads              it holds the rows of keys of a projection for keys and values, transposed head by head: [heads, in, E]
 *   value-heads            it holds those of values: [heads, E, in]
 */
export type GgufChange =
  | "query-rows"
  | "key-rows"
  | "qkv-rows"
  | "value-rows"
  | "last-value-rows"
  | "value-columns"
  | "value-taps"
  | "value-decay"
  | "plus-one"
  | "row"
  | "one-row"
  | "taps"
  | "as-row"
  | "as-column"
  | "decay-column"
  | "transposed"
  | "stacked"
  | "stacked-even-rows"
  | "stacked-odd-rows"
  | "first-half"
  | "second-half"
  | "key-heads"
  | "value-heads";

/** Changes that concern only one tensor. */
export type GgufTensorChange = Exclude<GgufChange, "stacked" | GgufPart>;

/** Changes by which one tensor of a folder becomes two in a GGUF file. */
export type GgufPart = Extract<
  GgufChange,
  "first-half" | "second-half" | "key-heads" | "value-heads" | "stacked-even-rows" | "stacked-odd-rows"
>;

/** A module of a GGUF file: its path in folders, and its change. */
export interface GgufModule {
  readonly path: string;
  readonly change: GgufChange | null;
  /** The module whose rows follow those of `path` in each matrix of a stack; default: none do. */
  readonly below?: string;
  /** Whether both names are of a tensor rather than of a module with a weight or bias. */
  readonly isTensor?: true;
  /** Whether it is only for reading: files are written with other modules of the table that hold the same tensors. Default: no. */
  readonly isReadOnly?: true;
}

/** A number or boolean among the settings; `bools` and `int32s` have one for each layer. */
export interface GgufSetting {
  /** Its key in config.json. */
  readonly key: string;
  readonly type: "uint32" | "float32" | "bool" | "bools" | "int32s";
  /** The meaning of a file without it: this value, that of another key, or nothing ("left-out"); "refused": an error. */
  readonly absent: number | boolean | { readonly sameAs: string } | "left-out" | "refused";
  /** Whether a single number, of type uint32, may stand for all layers; default: no. */
  readonly isOneForAll?: true;
}

/** Heads of values that share heads of keys, in one projection with queries and keys or separately. */
export interface ValueHeads {
  readonly numKeyHeads: number;
  readonly numHeads: number;
  /** Rows of queries and keys before those of values. */
  readonly rowsBefore: number;
}

/** A tensor of one number in each block; `path` follows the block's prefix. */
interface GgufNumber {
  readonly path: string;
  readonly shape: readonly number[];
}

/** Values by name. */
export type Table<T> = Readonly<Record<string, T>>;

/** Factors of consecutive rows of a matrix, from the first row on; `numRows` null: all remaining rows. */
export type RowFactors = readonly { readonly numRows: number | null; readonly factor: number }[];

/** Factors of a configuration that GGUF files have multiplied into tensors. */
export interface Folding {
  /** Factors of modules, by their names in files. */
  readonly factors: Table<RowFactors>;
  /** The settings of the configuration that remain once the tensors contain the factors. */
  readonly rest: RawConfig;
}

export interface GgufRules {
  /** `general.architecture`, which is also the prefix of names of settings. */
  readonly architecture: string;
  /**
   * How its files differ from those of other families with this architecture: a setting that is above 0 only in its own files, or
   * a test of settings; null: they do not.
   */
  readonly toldBy: string | null | ((setting: (name: string) => unknown) => boolean);
  readonly outsideBlocks: Table<GgufModule>;
  /** Modules of block N: name after `blk.N.` → path after the block's prefix. */
  readonly inBlock: Table<GgufModule>;
  readonly blockPrefix: string;
  /** Tensors of one number in each block that files have as settings, by the settings' names; default: none. */
  readonly tensorsInSettings?: Table<GgufNumber>;
  /** Keys of the settings that most decoders have. */
  readonly settings: Table<GgufSetting>;
  /** Keys of config.json that have other names in this family. */
  readonly keys: Table<string>;
  /** Which columns of a head are rotated; "told": settings of its own say so; null: the model does not rotate. */
  readonly rotated: "all-columns" | "first-columns" | "told" | null;
  /** Whether files have a setting that multiplies the logarithm in YaRN's factor; default: no. */
  readonly hasYarnMultiplier?: true;
  /** Settings in its files without effect, for kinds of layers and experts that it does not have. */
  readonly idle?: readonly string[];
  /** Values of config.json that all such files share. */
  readonly fixed: RawConfig;
  /** Keys of config.json that are true when block 0 has the named tensor. */
  readonly switches: Table<string>;
  /** Keys of config.json that are true when some block has a tensor and lacks another; default: there are none. */
  readonly gaps?: Table<{ readonly has: string; readonly lacks: string }>;
  /** The setting that counts blocks after the model's own, which predict further tokens and are ignored. */
  readonly blocksBehind?: string;
  /** From the configuration, the heads of values that files store in another order; default: none. */
  readonly valueHeads?: (config: RawConfig) => ValueHeads;
  /** From the configuration, the rows of keys per head in one projection for keys and values; default: there is no such projection. */
  readonly keyRows?: (config: RawConfig) => number;
  /** From the configuration, the number of groups of heads that are normalised separately; default: one. */
  readonly numGroups?: (config: RawConfig) => number;
  /** From the settings, the factors that files have multiplied into tensors; `hasHead`: whether logits have a separate matrix. */
  readonly folding?: (settings: RawConfig, hasHead: boolean) => Folding;
  /** From the settings, other rules for writing the model, in files of another architecture; null or absent: these rules. */
  readonly instead?: (settings: RawConfig) => GgufRules | null;
  /** Other rules for reading files with experts; default: these. */
  readonly withExperts?: GgufRules;
  /** Adds settings to a configuration that readers of such files assume. */
  complete(config: RawConfig): RawConfig;
  /** Whether a special token of SentencePiece absorbs the spaces after it, which files do not say. */
  readonly takesSpacesAfter: (token: string) => boolean;
  /** For writing, settings that files express in another way. */
  values(settings: RawConfig, attention: readonly AttentionOptions[]): RawConfig;
}
