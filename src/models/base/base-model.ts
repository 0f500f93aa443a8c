/** @file A base model: what its family says of it, and where its tensors come from. */
import { objectWith } from "../../messages/arguments.ts";
import type { StoredTensor } from "../../quant/stored-tensor.ts";
import type { OperandStore } from "../../nn/operand-store.ts";
import type { Planes } from "../../quant/planes.ts";
import type { StorageName } from "../../quant/storages.ts";
import { numElements } from "../../graph/shape.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { DerivedTensors } from "./derived-tensors.ts";
import type { Model } from "../model.ts";

/** Where the tensors of a base model come from. */
export interface WeightSource {
  /** How a tensor is kept. */
  storageOf(name: string): StorageName;
  /** Columns of a matrix that share a scale, of a kind that leaves that to each tensor; else null. */
  groupSizeOf(name: string): number | null;
  /** A tensor as it is kept; the caller must not change it. Planes may come to lie in those of `memory` that have their name, type and length. */
  stored(name: string, memory?: Planes): Promise<StoredTensor>;
  /** A tensor that is kept as float32, without a copy; null: it must be read. Only to be read. */
  view(name: string): HostTensor<"float32"> | null;
  /**
   * Writes values of a tensor into float32 memory of the caller, as many as there is room for, from element `start` on,
   * which begins a row.
   */
  readInto(name: string, into: Float32Array, start?: number): Promise<void>;
  /** Keeps what arithmetics make of its matrices; absent: nothing does. */
  readonly operands?: OperandStore | undefined;
}

/** Lends memory of a length. */
export type LendFloats = (length: number) => Float32Array;

/** A base model, whose tensors are read when they are asked for: its checkpoint stays open as long. */
export class BaseModel {
  /** Where the model came from. Adapter files record it. */
  readonly name: string;
  readonly model: Model;
  readonly source: WeightSource;
  /** The storage to which its matrices were rounded on loading; null: they are as files keep them. */
  readonly roundedTo: StorageName | null;
  /** Tensors that no file of the base has: of a head that was made anew. */
  readonly freshTensors: readonly string[];
  /** What adapters make of its tensors and share. */
  readonly derived = new DerivedTensors();

  #notes: string[] = [];

  /** `roundedTo` is null and `freshTensors` empty where a checkpoint is taken as its files have it. */
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

  /** Takes the sentences since the last call; tensors are looked at when they are first read. */
  takeNotes(): string[] {
    return this.#notes.splice(0);
  }

  /** The values of any tensor in float32, as files lay them out; not to be changed. @throws as the source */
  async values(name: string): Promise<HostTensor<"float32">> {
    return this.source.view(this.model.storedName(name)) ?? (await this.read(name));
  }

  /**
   * As `values`, but never as a view of a mapped file, whose pages would stay in memory: for tensors that are read once.
   * `lend`: memory of a length, fresh unless given. @throws as the source
   */
  async read(
    name: string,
    lend: LendFloats = (length) => new Float32Array(length),
  ): Promise<HostTensor<"float32">> {
    const stored = this.model.storedName(name);
    const { shape = [] } = this.model.tensors.get(stored) ?? {};
    const data = lend(numElements(shape));
    // Read directly as float32: the stored tensor would lie in memory beside it until V8 collects.
    await this.source.readInto(stored, data);
    return hostTensor("float32", shape, data);
  }
}

/** What callers give as a base. */
export const A_BASE = objectWith<BaseModel>(
  "a base model, as loadModel() or loadWeights() returns it",
  "model",
  "source",
  "derived",
);
