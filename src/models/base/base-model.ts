/** @file A base model: its description, and the source of its tensors. */
import { objectWith } from "../../messages/arguments.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { OperandStore } from "../../nn/operand-store.ts";
import type { Planes } from "../../quant/planes.ts";
import type { StorageName } from "../../quant/storages.ts";
import { numElements } from "../../graph/shape.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { DerivedTensors } from "./derived-tensors.ts";
import type { Model } from "../model.ts";

/** Reads the tensors of a base model. */
export interface WeightSource {
  /** The form in which a tensor is stored. */
  storageOf(name: string): StorageName;
  /** Columns of a matrix that share a scale, for storage kinds where this differs between tensors; else null. */
  groupSizeOf(name: string): number | null;
  /**
   * Reads a tensor in its stored form, which the caller must not change. Planes may be placed in those of `memory` that have the
   * same name, type and length.
   */
  stored(name: string, memory?: Planes): Promise<StoredTensor>;
  /** Returns a tensor that is stored as float32 without a copy, not to be changed; null: use `readInto`. */
  view(name: string): HostTensor<"float32"> | null;
  /** Fills the caller's float32 memory with values of a tensor, from element `start` on, which must begin a row. */
  readInto(name: string, into: Float32Array, start?: number): Promise<void>;
  /** Keeps the operands that arithmetics make of its matrices; absent: they are not kept. */
  readonly operands?: OperandStore | undefined;
}

/** Lends memory for `length` numbers. */
export type LendFloats = (length: number) => Float32Array;

/** A base model, whose tensors are read on demand, so its checkpoint stays open as long as it is used. */
export class BaseModel {
  /** The name or path that the model was opened by. Adapter files record it. */
  readonly name: string;
  readonly model: Model;
  readonly source: WeightSource;
  /** The storage kind to which its matrices were rounded on loading; null: they are as in the files. */
  readonly roundedTo: StorageName | null;
  /** Tensors of a newly drawn head, which no file of the base has. */
  readonly freshTensors: readonly string[];
  /** Tensors that adapters derive from its tensors and share. */
  readonly derived = new DerivedTensors();

  #notes: string[] = [];

  /** `roundedTo` is null and `freshTensors` empty for a checkpoint used as its files have it. */
  constructor(
    name: string,
    model: Model,
    source: WeightSource,
    { roundedTo = null, freshTensors = [] }: Partial<Pick<BaseModel, "roundedTo" | "freshTensors">> = {},
  ) {
    this.name = name;
    this.freshTensors = freshTensors;
    this.model = model;
    this.source = source;
    this.roundedTo = roundedTo;
  }

  /** Keeps a sentence about the model, or an adapter on it, that the user should see. */
  addNote(note: string): void {
    this.#notes.push(note);
  }

  /** Takes the sentences since the last call; some are about tensors, which are checked when first read. */
  takeNotes(): string[] {
    return this.#notes.splice(0);
  }

  /** Returns the values of any tensor in float32, in the layout of the files; not to be changed. @throws as the source */
  async values(name: string): Promise<HostTensor<"float32">> {
    return this.source.view(this.model.storedName(name)) ?? (await this.read(name));
  }

  /**
   * Like `values`, but never a view of a mapped file, whose pages would stay in memory; for tensors that are read once. `lend`
   * provides the memory; default: fresh memory. @throws as the source
   */
  async read(
    name: string,
    lend: LendFloats = (length) => new Float32Array(length),
  ): Promise<HostTensor<"float32">> {
    const stored = this.model.storedName(name);
    const { shape = [] } = this.model.tensors.get(stored) ?? {};
    const data = lend(numElements(shape));
    // Reads directly as float32: otherwise the stored tensor would stay in memory beside it until V8 collects.
    await this.source.readInto(stored, data);
    return hostTensor("float32", shape, data);
  }
}

/** Checks a base that a caller passes. */
export const A_BASE = objectWith<BaseModel>(
  "a base model, as loadModel() or loadWeights() returns it",
  "model",
  "source",
  "derived",
);
