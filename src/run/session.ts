/**
 * @file One loaded base model with the engine that runs it: weights, memory for activations, compiled programs.
 *
 * Training, evaluation and generation share it: programs of equal structure are compiled once.
 */
import type { ProgramSpec } from "../graph/program.ts";
import { numElements } from "../graph/shape.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Model } from "../models/model.ts";
import { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { PassTables } from "./context.ts";
import { type Residency, Weights } from "./weights.ts";

/** The embedding of a vocabulary of 49,152 tokens is held in float32, that of one of 262,144 is not. */
export const MAX_TABLE_BYTES = 256e6;

/** A compiled program with what it was made from. */
export interface Compiled<T> {
  readonly program: Program;
  readonly made: T;
}

export class Session {
  readonly engine: Engine;
  readonly base: BaseModel;
  readonly weights: Weights;
  readonly pool = new BufferPool();
  /** Tables outside the blocks that are larger stay as they are stored; their rows are read when they are used. */
  readonly maxTableBytes: number;
  /** Tables of rotary positions. */
  readonly tables = new PassTables();
  readonly #programs = new Map<string, Promise<Compiled<unknown>>>();

  /** `residency`: how weights are kept between uses; what is stored is read or dequantized at every use. */
  constructor(
    engine: Engine,
    base: BaseModel,
    residency: Residency = "stored",
    maxTableBytes: number = MAX_TABLE_BYTES,
  ) {
    this.engine = engine;
    this.base = base;
    this.maxTableBytes = maxTableBytes;
    this.weights = new Weights(base, residency);
  }

  get model(): Model {
    return this.base.model;
  }

  /** Whether a tensor outside the blocks is never held whole in float32. */
  isLargeTable(name: string): boolean {
    const { shape = [] } = this.model.tensors.get(this.model.storedName(name)) ?? {};
    const sizeBytes = numElements(shape) * Float32Array.BYTES_PER_ELEMENT;
    return this.weights.residency === "stored" && sizeBytes > this.maxTableBytes;
  }

  /** Compiles a program, or returns the one of this key. Keys of unlike programs must differ. */
  compile<T>(
    key: string,
    make: () => { readonly spec: ProgramSpec; readonly made: T },
  ): Promise<Compiled<T>> {
    let compiled = this.#programs.get(key) as Promise<Compiled<T>> | undefined;
    if (!compiled) {
      compiled = this.#compile(make);
      this.#programs.set(key, compiled);
    }
    return compiled;
  }

  async #compile<T>(make: () => { readonly spec: ProgramSpec; readonly made: T }): Promise<Compiled<T>> {
    const { spec, made } = make();
    return { program: await this.engine.compile(spec), made };
  }

  /** Frees all programs. */
  async release(): Promise<void> {
    const compiled = [...this.#programs.values()];
    this.#programs.clear();
    for (const each of compiled) await (await each.catch(() => null))?.program.release();
  }
}
