/**
 * @file How the GGUF files of a family differ from its Hugging Face folders: names of tensors and settings, and what a
 * converter changed in the numbers. Facts alone; `format/checkpoint/gguf-*.ts` reads and writes by them.
 */
import type { AttentionOptions } from "../../nn/builder.ts";
import type { RawConfig } from "./raw-config.ts";

/**
 * What a converter did to the tensors of a module:
 *   query-rows, key-rows   the halves of each head, which rotate together, lie row by row: (2, E/2) became (E/2, 2)
 *   qkv-rows               rows of one projection for all three lie part by part: (heads, 3, E) became (3, heads, E)
 *   value-rows             heads of values that share a key head lie apart: (keys, n, E) became (n, keys, E)
 *   last-value-rows        so of the rows behind those of queries and keys
 *   value-columns          so of columns
 *   value-taps             rows so, and `taps`
 *   value-decay            rows so, and logarithms a of what is forgotten are kept as -exp a
 *   plus-one               a norm that multiplies by 1 + w is kept as 1 + w
 *   row                    a matrix of one row is kept as a vector
 *   one-row                a matrix of one row is kept so, or as a vector by programs that copy files
 *   taps                   factors of a convolution that folders keep as [channels, 1, taps] are kept as [channels, taps]
 *   as-row                 a vector is kept as a matrix with a row for each group, one where there are none
 *   as-column              a vector is kept as a matrix of one column
 *   decay-column           so, and logarithms a of what is forgotten are kept as -exp a
 *   transposed             a matrix that folders keep as [in, out] is kept as [out, in]
 *   stacked                matrices of all experts, or norms of all heads, are one tensor; `*` in the module's path stands for
 *                          the expert or head
 *   stacked-even-rows      so of the even rows of each, of which another tensor holds the odd ones
 *   stacked-odd-rows       so of the odd ones
 *   first-half             it holds the first half of the rows of the folder's tensor
 *   second-half            it holds the second
 *   key-heads              it holds the rows of keys of a projection for keys and values, turned round head by head: [heads, in, E]
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

/** What a converter did to the numbers of one tensor by itself. */
export type GgufTensorChange = Exclude<GgufChange, "stacked" | GgufPart>;

/** By which a tensor of folders lies in two of files. */
export type GgufPart = Extract<
  GgufChange,
  "first-half" | "second-half" | "key-heads" | "value-heads" | "stacked-even-rows" | "stacked-odd-rows"
>;

/** A module of a GGUF file, as it is called in folders. */
export interface GgufModule {
  readonly path: string;
  readonly change: GgufChange | null;
  /** The module whose rows follow those of `path` in each matrix of a stack; default: none do. */
  readonly below?: string;
  /** Whether both names are those of a tensor, not of a module with a weight or bias. */
  readonly isTensor?: true;
  /** Whether it holds what other modules of the table hold, by which files are written; default: nothing else does. */
  readonly isReadOnly?: true;
}

/** A number, or true or false, among the settings; `bools` and `int32s`: one for each layer. */
export interface GgufSetting {
  /** Its key in config.json. */
  readonly key: string;
  readonly type: "uint32" | "float32" | "bool" | "bools" | "int32s";
  /** What a file without it means: this value, that of another key, or nothing; else the file is refused. */
  readonly absent: number | boolean | { readonly sameAs: string } | "left-out" | "refused";
  /** Whether one number, of type uint32, may stand for those of all layers; default: it may not. */
  readonly isOneForAll?: true;
}

/** Heads of values that share heads of keys, in one projection with queries and keys or each by itself. */
export interface ValueHeads {
  readonly numKeyHeads: number;
  readonly numHeads: number;
  /** Rows of queries and keys before those of values. */
  readonly rowsBefore: number;
}

/** A tensor of one number in each block, behind the block's prefix. */
interface GgufNumber {
  readonly path: string;
  readonly shape: readonly number[];
}

/** Something by name. */
export type Table<T> = Readonly<Record<string, T>>;

/** What rows of a matrix are multiplied with, from above; `numRows` null: all that follow. */
export type RowFactors = readonly { readonly numRows: number | null; readonly factor: number }[];

/** Factors of a configuration that files have in the numbers of tensors. */
export interface Folding {
  /** Of modules by their names in files. */
  readonly factors: Table<RowFactors>;
  /** What the configuration of a model says whose tensors have them. */
  readonly rest: RawConfig;
}

export interface GgufRules {
  /** `general.architecture`, and what the names of settings begin with. */
  readonly architecture: string;
  /**
   * What tells its files from those of other families with this architecture: a setting that is above 0 in its own alone, or what
   * settings say together; null: nothing does.
   */
  readonly toldBy: string | null | ((setting: (name: string) => unknown) => boolean);
  readonly outsideBlocks: Table<GgufModule>;
  /** Modules of block N: behind `blk.N.` → behind the block's prefix. */
  readonly inBlock: Table<GgufModule>;
  readonly blockPrefix: string;
  /** Tensors of one number in each block which files have among their settings, by these; default: there are none. */
  readonly tensorsInSettings?: Table<GgufNumber>;
  /** Keys of the settings that most decoders have. */
  readonly settings: Table<GgufSetting>;
  /** Keys of config.json that the family calls otherwise. */
  readonly keys: Table<string>;
  /** Which columns of a head are rotated, or that settings of its own say which; null: the model knows positions otherwise. */
  readonly rotated: "all-columns" | "first-columns" | "told" | null;
  /** Whether a setting multiplies the logarithm in YaRN's factor, which files of others do not have; default: none does. */
  readonly hasYarnMultiplier?: true;
  /** Settings of its files that change no number: of layers and experts that it does not have. */
  readonly idle?: readonly string[];
  /** Values of config.json that all such files share. */
  readonly fixed: RawConfig;
  /** Keys of config.json that are true when block 0 has the named tensor. */
  readonly switches: Table<string>;
  /** Keys of config.json that are true when some block has a tensor and lacks another; default: there are none. */
  readonly gaps?: Table<{ readonly has: string; readonly lacks: string }>;
  /** The setting that counts blocks behind the model's own, which predict further tokens and are passed over. */
  readonly blocksBehind?: string;
  /** Heads of values that lie in another order, by the configuration; default: there are none. */
  readonly valueHeads?: (config: RawConfig) => ValueHeads;
  /** Rows of keys in each head of one projection for keys and values, by the configuration; default: there is no such one. */
  readonly keyRows?: (config: RawConfig) => number;
  /** How many groups of heads are normalised by themselves, by the configuration; default: one. */
  readonly numGroups?: (config: RawConfig) => number;
  /** Factors that files have in the numbers of tensors, by the settings of the model; `hasHead`: logits have a matrix of their own. */
  readonly folding?: (settings: RawConfig, hasHead: boolean) => Folding;
  /** Rules instead of these for writing, by the settings of the model: files of another architecture hold it; default: none do. */
  readonly instead?: (settings: RawConfig) => GgufRules | null;
  /** Rules instead of these for reading files with experts; default: these. */
  readonly withExperts?: GgufRules;
  /** Completes a configuration by what readers of such files take without being told. */
  complete(config: RawConfig): RawConfig;
  /** Whether a special token of SentencePiece takes the spaces that follow it, which no setting of a file says. */
  readonly takesSpacesAfter: (token: string) => boolean;
  /** Settings, for writing, which files say in another way. */
  values(settings: RawConfig, attention: readonly AttentionOptions[]): RawConfig;
}
