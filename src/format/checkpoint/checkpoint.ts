/** @file What an open base model is, whatever its format: config, tensors under Hugging Face names, tokenizer files. */
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
  /** Columns that share a scale, of a kind that leaves that to each tensor. */
  readonly groupSize?: number;
  /** It says nothing: a model that has no such tensor may do without. */
  readonly mayBeSurplus?: boolean;
  readonly sizeBytes: number;
}

/** Contents of tokenizer.json and tokenizer_config.json, and the chat template. */
export interface TokenizerFiles {
  readonly tokenizer: Record<string, unknown>;
  /** Tokens by id, of a file that lists them; the vocabulary of `tokenizer` is made of them when it is asked for. */
  readonly tokens?: readonly string[];
  readonly config: Record<string, unknown>;
  readonly chatTemplate: string | null;
}

/** Tokenizer files that lie beside a GGUF file, whose own are used. */
export interface UnusedTokenizerFiles extends Omit<TokenizerFiles, "tokenizer"> {
  /** Null: there is none. */
  readonly tokenizer: TokenizerFiles["tokenizer"] | null;
}

export const MODEL_FORMATS = ["hf", "gguf", "packed", "gptq"] as const;
/**
 * How a model that graft writes lies on the disk: a Hugging Face folder, a GGUF file, or such a folder with matrices in codes, of our own form
 * or GPTQ's.
 */
export type ModelFormat = (typeof MODEL_FORMATS)[number];

/** How the name of a GGUF file ends. */
export const GGUF_ENDING = ".gguf";

/** An open base model. Whoever opened it closes it. */
export interface Checkpoint {
  readonly path: string;
  /** "codes": a folder in a form of codes that graft only reads. */
  readonly format: ModelFormat | "codes";
  /** Settings under the names of Hugging Face's config.json. */
  readonly config: Record<string, unknown>;
  /** Names of settings whose numbers its file writes as floats; absent: there is no such file. */
  readonly floatSettings?: ReadonlySet<string>;
  /** How matrices are kept in codes, of a folder whose format says that they are; no part of `config`. */
  readonly quantization?: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown> | null;
  /** How its images are prepared, under the names of Hugging Face's preprocessor_config.json; absent: no file says. */
  readonly imageProcessor?: Record<string, unknown> | null;
  /** Tensors under Hugging Face names; buffers of whole numbers are left out. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Names of those that no file has: of a head that was made anew. */
  readonly freshTensors?: readonly string[];
  /**
   * Reads one tensor, which others may be given too: only to be read. Planes may come to lie in those of `memory` that have their name, type and length.
   * @throws FormatError format/tensor, format/file
   */
  read(name: string, memory?: Planes): Promise<StoredTensor>;
  /** Writes values of a tensor from element `start` on into float32 memory of the caller, as many as there is room for. @throws as `read` */
  readInto(name: string, into: Float32Array, start?: number): Promise<void>;
  /**
   * Views a tensor that lies in the file as float32 without reading it, valid also after `close`; null where it is stored
   * otherwise or files cannot be mapped. Only to be read. @throws as `read`
   */
  view(name: string): HostTensor<"float32"> | null;
  /** The storage to which its matrices are rounded on loading; absent: they are as their files keep them. */
  readonly roundedTo?: StorageName;
  /** Memory of tensors that are held as they are kept once their values were read; the system's cache keeps what else is used often. */
  readonly heldBytes: number;
  /** Keeps what arithmetics make of its matrices; absent: nothing does. */
  readonly operands?: OperandStore | undefined;
  readonly tokenizerFiles: TokenizerFiles | null;
  /** Others that lie in the same folder; null: there are none. */
  readonly unusedTokenizerFiles: UnusedTokenizerFiles | null;
  /** The licence by its name on model sites; null: the files do not say. */
  readonly license: string | null;
  close(): Promise<void>;
}

/** A checkpoint whose tensors are called otherwise. `inFile`: what it calls them itself, of those whose names differ. */
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

/** What callers give as a checkpoint. */
export const A_CHECKPOINT = objectWith<Checkpoint>(
  "a checkpoint, as openCheckpoint() returns it",
  "config",
  "tensors",
  "read",
);
