/**
 * @file One loaded base model with the engine that runs it: weights, memory for activations, compiled programs.
 *
 * Training, evaluation and generation share it: programs of equal structure are compiled once.
 */
import { UsageError } from "../errors.ts";
import {
  A_COUNT,
  A_FUNCTION,
  AN_AMOUNT,
  ANYTHING,
  checkArguments,
  objectWith,
  onlyMembers,
  withMembers,
  lazily,
} from "../messages/arguments.ts";
import { findNamed } from "../messages/find-named.ts";
import { A_BASE, type BaseModel } from "../models/base/base-model.ts";
import type { Model } from "../models/model.ts";
import { BufferPool } from "../runtime/memory/buffer-pool.ts";
import { AN_ENGINE, type Engine, onThreads } from "../runtime/engine.ts";
import type { HostTensor, Tensors } from "../runtime/host-tensor.ts";
import type { TensorRead } from "../models/graphs/part-tensors.ts";
import type { Compute } from "../nn/compute.ts";
import { f32 } from "../nn/computes/f32.ts";
import { PassTables } from "./context.ts";
import { MAX_TABLE_BYTES, SLICE_ROWS, isLargeTable } from "./large-tables.ts";
import { madeOnce } from "../runtime/made-once.ts";
import { LastingTensors } from "../runtime/memory/program-memory.ts";
import { RESIDENT, type VectorMemory } from "../runtime/memory/vector-memory.ts";
import type { Riders } from "./blocks/riders.ts";
import type { Loan } from "./weights/loan.ts";
import { type Compiled, type ProgramSource, type ProgramUse, SessionPrograms } from "./session-programs.ts";
import { RESIDENCIES, type Residency, type Smoothing, Weights } from "./weights/weights.ts";

const ARGUMENTS = lazily(() =>
  withMembers({
    engine: AN_ENGINE,
    base: A_BASE,
    options: onlyMembers({
      maxTableBytes: AN_AMOUNT.optional(),
      sliceRows: A_COUNT.optional(),
      compute: ANYTHING,
      attentionChunk: A_COUNT.optional(),
      memory: ANYTHING,
      smoothing: ANYTHING,
      measureMany: A_FUNCTION.optional(),
      lender: ANYTHING,
    }),
  }),
);

/** How a session holds weights and computes. */
export interface SessionOptions {
  /** Largest table of floats outside the blocks that is held whole in float32; a quantized one never is. */
  readonly maxTableBytes?: number;
  /** How many rows of a larger table are in float32 at a time. */
  readonly sliceRows?: number;
  /** Arithmetic of the products with frozen matrices in the blocks; trained matrices, stem and head are in float32. */
  readonly compute?: Compute;
  /** Queries that attention processes at once in passes without a cache; chosen by the length of the rows unless given. */
  readonly attentionChunk?: number | undefined;
  /** Where frozen blocks are kept between two uses. */
  readonly memory?: VectorMemory;
  /** Factors by which the inputs of matrices are multiplied, measured for this arithmetic; none unless given. */
  readonly smoothing?: Smoothing;
  /** Measures the factors for products of many tokens, at first use; there are none unless given. */
  readonly measureMany?: () => Promise<Smoothing>;
  /** A session whose weights and memory for activations are shared, and which must be released later; separate unless given. */
  readonly lender?: Pick<Session, "pool" | "weights">;
}

/** One base model with the engine that runs it. Whoever makes it releases it. */
export class Session {
  readonly engine: Engine;
  readonly base: BaseModel;
  readonly weights: Weights;
  readonly pool: BufferPool;
  readonly maxTableBytes: number;
  readonly sliceRows: number;
  readonly compute: Compute;
  readonly attentionChunk: number | null;
  readonly #smoothing: Map<string, HostTensor<"float32">>;
  readonly #measureMany: SessionOptions["measureMany"];
  readonly #measured = new Map<"many", Promise<void>>();
  readonly #lender: SessionOptions["lender"];
  /** Tables of rotary positions. */
  readonly tables = new PassTables();
  /** Supplies rows of texts that ride in forward passes of trainings on this session; null: there are none. */
  riders: Riders | null = null;
  /** Blocks whose tensors programs bind. */
  readonly #pinned: Loan[] = [];
  readonly #programs: SessionPrograms;
  /** Ids of tensors, for the keys of programs that bind them. */
  readonly #ids = new WeakMap<HostTensor, number>();
  #numIds = 0;
  #isReleased = false;

  /** `residency`: how weights are kept between uses; what is stored is read or dequantized at every use. */
  constructor(
    engine: Engine,
    base: BaseModel,
    residency: Residency = "stored",
    options: SessionOptions = {},
  ) {
    checkArguments("Session", ARGUMENTS, { engine, base, options });
    const {
      maxTableBytes = MAX_TABLE_BYTES,
      sliceRows = SLICE_ROWS,
      compute = f32,
      attentionChunk,
    } = options;
    const { memory = RESIDENT, smoothing = new Map(), measureMany, lender } = options;
    const forms = RESIDENCIES.map((name) => ({ name }));
    findNamed("weights", forms, residency);
    this.engine = engine;
    this.base = base;
    this.#programs = new SessionPrograms({ engine, derived: base.derived });
    this.#lender = lender;
    this.pool = new BufferPool(lender?.pool ?? engine.makeMemory);
    this.maxTableBytes = maxTableBytes;
    this.compute = compute;
    this.attentionChunk = attentionChunk ?? null;
    this.#smoothing = new Map(smoothing);
    this.#measureMany = measureMany;
    this.sliceRows = sliceRows;
    const tensors = new LastingTensors(engine.makeMemory);
    this.weights =
      lender?.weights ?? new Weights(base, residency, { memory, tensors, smoothing: this.#smoothing });
  }

  /**
   * The same model in the same memory, with its own programs, which use this many threads and may run beside others. The caller
   * releases it, before this session.
   */
  onThreads(threads: number): Session {
    return new Session(onThreads(this.engine, threads), this.base, this.weights.residency, {
      maxTableBytes: this.maxTableBytes,
      sliceRows: this.sliceRows,
      compute: this.compute,
      attentionChunk: this.attentionChunk ?? undefined,
      smoothing: this.#smoothing,
      lender: this,
    });
  }

  /**
   * The same model in the same memory, with its own programs, for instance for one training: the programs of many trainings would
   * otherwise accumulate here. The caller releases it, before this session.
   */
  withOwnPrograms(): Session {
    const own = this.onThreads(this.engine.threads);
    own.riders = this.riders;
    return own;
  }

  get model(): Model {
    return this.base.model;
  }

  /** `action` follows "Cannot". @throws UsageError "usage/state" after `release` */
  requireOpen(action: string): void {
    if (!this.#isReleased) return;
    throw new UsageError("usage/state", `Cannot ${action}: its session is released, expected an open one`, {
      hint: "Release a session only when nothing runs on it any more, or create another.",
    });
  }

  get smoothing(): Smoothing {
    return this.#smoothing;
  }

  /** Whether the factors for products of many tokens are measured, or being measured. */
  get isPreparedForMany(): boolean {
    return this.#measured.has("many");
  }

  /** Measures the factors for products of many tokens, once; call it before programs with such products are made. */
  async prepareMany(): Promise<void> {
    const measure = async (): Promise<void> => {
      for (const [name, factors] of (await this.#measureMany?.()) ?? []) this.#smoothing.set(name, factors);
    };
    await madeOnce(this.#measured, "many", measure);
  }

  /** Whether a tensor outside the blocks is never held whole in float32: a large one of floats, or a quantized one. */
  isLargeTable(name: string): boolean {
    const { model, compute, maxTableBytes } = this;
    const { residency } = this.weights;
    return isLargeTable({ model, compute, residency, maxTableBytes, source: this.base.source }, name);
  }

  /** Borrows tensors of a block until the session is released. @throws as the source */
  async pin(layer: number, tensors: readonly TensorRead[]): Promise<Tensors> {
    const loan = await this.weights.borrow(layer, tensors);
    this.#pinned.push(loan);
    return loan.tensors;
  }

  /** Returns an id for each tensor of a record, so that the key of a program can name the tensors that it binds. */
  idsOf(tensors: Tensors): readonly number[] {
    return Object.values(tensors).map((tensor) => {
      const id = this.#ids.get(tensor) ?? this.#numIds++;
      this.#ids.set(tensor, id);
      return id;
    });
  }

  /**
   * Compiles a program, or returns the one with this key. Keys of different programs must differ. `user`: whose use may end
   * before the session does. @throws UsageError "usage/state" after `release`
   */
  async compile<T>(key: string, make: () => ProgramSource<T>, user?: object): Promise<Compiled<T>> {
    this.requireOpen(`compile a program for model "${this.base.name}"`);
    return await this.#programs.compile(key, make, user);
  }

  /** The programs that a user has compiled. */
  useOf(user: object): ProgramUse {
    return this.#programs.useOf(user);
  }

  /** Frees all programs, and the memory unless it is shared; later calls are refused. May be called more than once. */
  async release(): Promise<void> {
    this.#isReleased = true;
    try {
      await this.#programs.release();
    } finally {
      for (const loan of this.#pinned.splice(0)) loan.release();
      // A failed or stopped run may have left memory lent, and the lender goes on.
      if (this.#lender) this.pool.takeBack();
      this.pool.clear();
      if (!this.#lender) this.weights.release();
    }
  }
}

/** Describes a session as an argument of functions. */
export const A_SESSION = objectWith<Session>("a Session", "engine", "base", "compile", "release");
