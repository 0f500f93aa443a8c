/** @file Final norm and output head: computes the logits of positions, or the input of the head's matrix. */
import { dimsOf, sizeAt } from "../../graph/shape.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import { type HostTensor, type Tensors, hostTensor } from "../../runtime/host-tensor.ts";
import type { Amount } from "../arithmetic.ts";
import type { BetweenBlocks } from "../blocks/forward-blocks.ts";
import type { Session } from "../session.ts";
import { gatherPositions, rowsOf } from "./head-positions.ts";
import { HeadPrograms } from "./head-programs.ts";
import { VocabularyHead } from "./vocabulary-head.ts";

export class Head {
  readonly #session: Session;
  readonly #programs: HeadPrograms;
  /** Used where the matrix is read some rows at a time. */
  readonly #vocabulary: VocabularyHead;

  /** `betweenBlocks` as for `VocabularyHead`. Programs are compiled at first use. */
  constructor(session: Session, adapter: AdapterView, betweenBlocks?: BetweenBlocks) {
    this.#session = session;
    this.#programs = new HeadPrograms(session, adapter, { drawsDropout: false });
    this.#vocabulary = new VocabularyHead(session, betweenBlocks);
  }

  /** Compiles the program for logits. */
  async prepare(): Promise<void> {
    if (!this.#programs.wayOf("logits").isSliced) await this.#programs.get("logits");
  }

  /** Compiles the program for logits of many rows, if the arithmetic has different products for them. */
  async prepareMany(): Promise<void> {
    if (!this.#session.compute.many) return;
    await this.#session.prepareMany();
    if (!this.#programs.wayOf("logits", "many").isSliced) await this.#programs.get("logits", "many");
  }

  /**
   * Computes the logits [N, V] of positions [N, D]; the caller releases them. `rows`: the row of the pass of each position, where
   * rows differ; `amount` "many": uses the products for many tokens, if the arithmetic has different ones.
   */
  async logits(
    hidden: HostTensor<"float32">,
    rows: Int32Array | null = null,
    amount: Amount = "any",
  ): Promise<HostTensor<"float32">> {
    const { pool, model, compute } = this.#session;
    const own = compute.many ? amount : "any";
    if (own === "many") await this.#session.prepareMany();
    const logits = pool.acquire("float32", [sizeAt(hidden.shape, 0), model.numOutputs]);
    try {
      if (this.#programs.wayOf("logits", own).isSliced) await this.#vocabulary.logits(hidden, logits.data);
      else await this.#run(["logits", own], { hidden }, rows, { logits });
      return logits;
    } catch (error) {
      pool.release(logits);
      throw error;
    }
  }

  /** Runs a program on positions in the given rows of the pass. */
  async #run(
    kind: Parameters<HeadPrograms["get"]>,
    feeds: Tensors,
    rows: Int32Array | null,
    into: Tensors,
  ): Promise<void> {
    const { program, made } = await this.#programs.get(...kind);
    const weights = await this.#programs.weights(made);
    const ofPositions = this.#programs.ofPositions(made, rows);
    try {
      await program.run({ ...feeds, ...weights, ...ofPositions }, into);
    } finally {
      this.#session.pool.release(...Object.values(ofPositions));
    }
  }

  /**
   * Computes the logits [N, V] of some positions of x [B, T, D]; the caller releases them. `firstRow`: the row of the pass at
   * which x begins; `amount` as for `logits`.
   */
  async logitsAt(
    x: HostTensor<"float32">,
    positions: Int32Array,
    firstRow = 0,
    amount: Amount = "any",
  ): Promise<HostTensor<"float32">> {
    const hidden = gatherPositions(x, positions, this.#session.pool);
    try {
      return await this.logits(hidden, rowsOf(x, positions, firstRow), amount);
    } finally {
      this.#session.pool.release(hidden);
    }
  }

  /** Number of logits of a position. */
  get numOutputs(): number {
    return this.#session.model.numOutputs;
  }

  /** Calls `read` with the logits of some positions, as of `logitsAt`; they are valid only during the call. */
  async withLogitsAt(
    x: HostTensor<"float32">,
    positions: Int32Array,
    firstRow: number,
    read: (logits: Float32Array) => void,
  ): Promise<void> {
    const logits = await this.logitsAt(x, positions, firstRow);
    try {
      read(logits.data);
    } finally {
      this.#session.pool.release(logits);
    }
  }

  /** Calls `read` with x [B, T, D] after the final norm, as the head's matrix multiplies it; valid only during the call. */
  async withNormed(
    x: HostTensor<"float32">,
    firstRow: number,
    read: (normed: Float32Array) => void,
  ): Promise<void> {
    const { pool } = this.#session;
    const [numRows, length, width] = dimsOf(x.shape, 3);
    const hidden = hostTensor("float32", [numRows * length, width], x.data);
    const normed = pool.acquire("float32", hidden.shape);
    const positions = Int32Array.from({ length: numRows * length }, (_, i) => i);
    try {
      await this.#run(["normed"], { hidden }, rowsOf(x, positions, firstRow), { normed });
      read(normed.data);
    } finally {
      pool.release(normed);
    }
  }
}
