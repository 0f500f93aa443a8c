/** @file An open base model in any format: config, tensors under Hugging Face names, tokenizer files. */
import { objectWith } from "../../messages/arguments.ts";
import type { OperandStore } from "../../nn/operand-store.ts";
import type { Planes } from "../../quant/planes.ts";
import type { StorageName } from "../../quant/storages.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";

/** What is known of a tensor before it is read. `shape` has the rows (outputs) first. */
export interface TensorInfo {
  readonly name: string;
  readonly shape: readonly number[];
  readonly storage: StorageName;
  /** Columns that share a scale, for storages in which tensors differ in that. */
  readonly groupSize?: number;
  /** Whether its values have no effect, so that a model without such a tensor may ignore it. */
  readonly mayBeSurplus?: boolean;
  readonly sizeBytes: number;
}

/** Contents of tokenizer.json and tokenizer_config.json, and the chat template. */
export interface TokenizerFiles {
  readonly tokenizer: Record<string, unknown>;
  /** Tokens by id, if the file lists them; the vocabulary of `tokenizer` is made from them on demand. */
  readonly tokens?: readonly string[];
  readonly config: Record<string, unknown>;
  readonly chatTemplate: string | null;
}

/** Tokenizer files that lie beside a GGUF file, whose own tokenizer is used instead. */
export interface UnusedTokenizerFiles extends Omit<TokenizerFiles, "tokenizer"> {
  /** Null: there is none. */
  readonly tokenizer: TokenizerFiles["tokenizer"] | null;
}

export const MODEL_FORMATS = ["hf", "gguf", "packed", "gptq"] as const;
/**
 * The formats in which graft writes models: a Hugging Face folder, a GGUF file, or a folder with matrices in codes, in graft's own
 * form or GPTQ's.
 */
export type ModelFormat = (typeof MODEL_FORMATS)[number];

/** The ending of names of GGUF files. */
export const GGUF_ENDING = ".gguf";

/** An open base model. Whoever opened it closes it. */
export interface Checkpoint {
  readonly path: string;
  /** "codes": a folder in a form of codes that graft only reads. */
  readonly format: ModelFormat | "codes";
  /** Settings under the names of Hugging Face's config.json. */
  readonly config: Record<string, unknown>;
  /** Names of settings whose numbers are written as floats in config.json; absent: there is no such file. */
  readonly floatSettings?: ReadonlySet<string>;
  /** The quantization settings of a folder with matrices in codes; not part of `config`. */
  readonly quantization?: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown> | null;
  /** How its images are prepared, under the names of Hugging Face's preprocessor_config.json; absent: there is no such file. */
  readonly imageProcessor?: Record<string, unknown> | null;
  /** Tensors under Hugging Face names; buffers of whole numbers are left out. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Names of those that are in no file, but belong to a freshly made head. */
  readonly freshTensors?: readonly string[];
  /**
   * Reads one tensor; callers may share the result and must not change it. Planes may be written into those of `memory` that have
   * their name, type and length.
   * @throws FormatError format/tensor, format/file
   */
  read(name: string, memory?: Planes): Promise<StoredTensor>;
  /** Fills `into` with values of a tensor, from element `start` on. @throws as `read` */
  readInto(name: string, into: Float32Array, start?: number): Promise<void>;
  /**
   * Views a tensor that is float32 in the file without reading it, valid also after `close`; null where it is stored otherwise or
   * files cannot be mapped. The view is read-only. @throws as `read`
   */
  view(name: string): HostTensor<"float32"> | null;
  /** The storage to which its matrices are rounded on loading; absent: they are not rounded. */
  readonly roundedTo?: StorageName;
  /** Memory of tensors that stay in memory after they were read; others that are used often stay in the system's cache. */
  readonly heldBytes: number;
  /** Keeps what arithmetics make of its matrices; absent: that is not kept. */
  readonly operands?: OperandStore | undefined;
  readonly tokenizerFiles: TokenizerFiles | null;
  /** Other tokenizer files in the same folder, which are not used; null: there are none. */
  readonly unusedTokenizerFiles: UnusedTokenizerFiles | null;
  /** The licence by its name on model sites; null: the files do not tell. */
  readonly license: string | null;
  close(): Promise<void>;
}

/** Gives the tensors of a checkpoint other names. `inFile`: by new name, the name in `checkpoint` where it differs. */
export function withTensorNames(
  checkpoint: Checkpoint,
  tensors: ReadonlyMap<string, TensorInfo>,
  inFile: ReadonlyMap<string, string>,
): Checkpoint {
  const fileName = (name: string): string => inFile.get(name) ?? name;
  return {
    ...checkpoint,
    tensors,
    read: (name, memory) => checkpoint.read(fileName(name), memory),
    view: (name) => checkpoint.view(fileName(name)),
    readInto: (name, into, start) => checkpoint.readInto(fileName(name), into, start),
  };
}

/** Schema of a checkpoint that a caller gives. */
export const A_CHECKPOINT = objectWith<Checkpoint>(
  "a checkpoint, as openCheckpoint() returns it",
  "config",
  "tensors",
  "read",
);
