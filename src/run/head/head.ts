/**
 * @file Final norm, output head and log-probabilities of labels, in chunks of positions that carry one.
 *
 * Rows without a label are never multiplied with the head, and the logits of more than one chunk never exist.
 */
import { assertInternal } from "../../errors.ts";
import { evaluateShape } from "../../graph/shape.ts";
import { moduleOf } from "../../models/module-path.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { Parameter } from "../../peft/parameters.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { Amount, HeadArithmetic } from "../arithmetic.ts";
import type { FillDropout } from "../block-runner.ts";
import { type GradientBuffer, bindGradients } from "../gradient-buffer.ts";
import {
  type HeadProgram,
  type HeadProgramKind,
  changesHead,
  compileHead,
  headArithmetic,
  isPerPosition,
  prepareAll,
} from "./head-graph.ts";
import {
  type LabelledPositions,
  chunksOf,
  gatherPositions,
  negate,
  rowsOf,
  scatterPositions,
} from "./head-positions.ts";
import { acquireForTable, addTableGradient } from "./head-table.ts";
import type { Compiled, Session } from "../session.ts";
import { type LabelledRows, VocabularyHead } from "./vocabulary-head.ts";

/** Positions of one chunk: 50 MB of logits a time for a vocabulary of 49,152. */
export const HEAD_CHUNK = 256;

/** Positions of one chunk with codes: products of whole numbers are as fast with fewer, and rounding needs memory. */
const CODES_CHUNK = 128;

/** Positions of one chunk where programs multiply in this arithmetic. */
export function headChunkOf(arithmetic: HeadArithmetic | null): number {
  return arithmetic === null ? HEAD_CHUNK : CODES_CHUNK;
}

/** Positions that are multiplied with a slice of the matrix at a time, where it is not held in float32. */
export const VOCABULARY_CHUNK = 1024;

export interface HeadOptions {
  /** Is told of a chunk as of a layer after the last; null: nothing is dropped. */
  readonly fillDropout?: FillDropout | null;
  /** Is awaited before each chunk: other work on the session may run there. */
  readonly betweenChunks?: (() => Promise<void>) | undefined;
}

/** How programs of one kind multiply with the head's matrix. */
interface HeadWay {
  readonly arithmetic: HeadArithmetic | null;
  /** Some of its rows at a time. */
  readonly isSliced: boolean;
}

export class Head {
  readonly #session: Session;
  readonly #adapter: AdapterView | null;
  readonly #fillDropout: FillDropout | null;
  readonly #ways = new Map<string, HeadWay>();
  /** Where the matrix is read some rows at a time. */
  readonly #vocabulary: VocabularyHead;
  readonly #betweenChunks: HeadOptions["betweenChunks"];

  /** `adapter` null: nothing is trained. Programs are compiled when first needed. */
  constructor(
    session: Session,
    adapter: AdapterView | null,
    { fillDropout = null, betweenChunks }: HeadOptions = {},
  ) {
    this.#session = session;
    this.#vocabulary = new VocabularyHead(
      session,
      (part) => session.weights.readOutsideBlocks(Object.keys(part.tensors)),
      betweenChunks,
    );
    this.#adapter = adapter;
    this.#fillDropout = fillDropout;
    this.#betweenChunks = betweenChunks;
  }

  /** Compiles what logits are made with. */
  async prepare(): Promise<void> {
    if (!this.#wayOf("logits").isSliced) await this.#program("logits");
  }

  /** Compiles what logits of many rows are made with, where the arithmetic has other products for them. */
  async prepareMany(): Promise<void> {
    if (!this.#session.compute.many) return;
    await this.#session.prepareMany();
    if (!this.#wayOf("logits", "many").isSliced) await this.#program("logits", "many");
  }

  #program(kind: HeadProgramKind, amount: Amount = "any"): Promise<Compiled<HeadProgram>> {
    const training = kind.startsWith("loss") && this.#fillDropout !== null;
    const { arithmetic } = this.#wayOf(kind, amount);
    return compileHead(this.#session, this.#adapter, { kind, training, arithmetic });
  }

  /** Found once: it takes building the head's graph, and a token is written in less. */
  #wayOf(kind: HeadProgramKind, amount: Amount = "any"): HeadWay {
    const key = `${kind}, ${amount}`;
    let way = this.#ways.get(key);
    if (!way) {
      const arithmetic = headArithmetic(this.#session, this.#adapter, kind, amount);
      way = { arithmetic, isSliced: readsSlices(this.#session, this.#adapter, arithmetic) };
      this.#ways.set(key, way);
    }
    return way;
  }

  async #weights({ part, tensorOf, reads }: HeadProgram): Promise<Record<string, HostTensor>> {
    const weights: Record<string, HostTensor> = await prepareAll(this.#session, reads);
    const inputs = this.#adapter?.inputs(null) ?? {};
    for (const [input, name] of tensorOf) {
      if (isPerPosition(part, input)) continue;
      const own = inputs[name];
      weights[input] = own ?? ((await this.#session.weights.readOutsideBlocks([name]))[name] as HostTensor);
    }
    return weights;
  }

  /** What positions [N] have of the rows of the pass that they are in; lent from the pool. */
  #ofPositions({ part }: HeadProgram, rows: Int32Array | null): Record<string, HostTensor<"float32">> {
    const inputs = this.#adapter?.inputs(null) ?? {};
    const names = Object.keys(part.adapter).filter((name) => isPerPosition(part, name));
    return Object.fromEntries(
      names.map((name) => {
        assertInternal(rows, "it is known of which row each position is");
        return [name, gatherPositions(inputs[name] as HostTensor<"float32">, rows, this.#session.pool)];
      }),
    );
  }

  /**
   * Logits of positions [N, D], [N, V]; the caller releases them. `rows`: which row of the pass each is of, where rows differ;
   * `amount`: by products for many tokens, where the arithmetic has others for them.
   */
  async logits(
    hidden: HostTensor<"float32">,
    rows: Int32Array | null = null,
    amount: Amount = "any",
  ): Promise<HostTensor<"float32">> {
    const { pool, model, compute } = this.#session;
    const own = compute.many ? amount : "any";
    if (own === "many") await this.#session.prepareMany();
    if (this.#wayOf("logits", own).isSliced) {
      const logits = pool.acquire("float32", [hidden.shape[0] as number, model.numOutputs]);
      await this.#vocabulary.logits(hidden, logits.data);
      return logits;
    }
    const { program, made } = await this.#program("logits", own);
    const weights = await this.#weights(made);
    const logits = pool.acquire("float32", [hidden.shape[0] as number, model.numOutputs]);
    const ofPositions = this.#ofPositions(made, rows);
    await program.run({ hidden, ...weights, ...ofPositions }, { logits });
    pool.release(...Object.values(ofPositions));
    return logits;
  }

  /**
   * Logits of some positions of x [B, T, D], [N, V]; the caller releases them. `firstRow`: the row of the pass that x begins
   * with; `amount` as `logits`.
   */
  async logitsAt(
    x: HostTensor<"float32">,
    positions: Int32Array,
    firstRow = 0,
    amount: Amount = "any",
  ): Promise<HostTensor<"float32">> {
    const hidden = gatherPositions(x, positions, this.#session.pool);
    const logits = await this.logits(hidden, rowsOf(x, positions, firstRow), amount);
    this.#session.pool.release(hidden);
    return logits;
  }

  /** Width of the logits. */
  get numOutputs(): number {
    return this.#session.model.numOutputs;
  }

  /** Lets `read` see the logits of some positions, as `logitsAt`, during the call alone. */
  async withLogitsAt(
    x: HostTensor<"float32">,
    positions: Int32Array,
    firstRow: number,
    read: (logits: Float32Array) => void,
  ): Promise<void> {
    const logits = await this.logitsAt(x, positions, firstRow);
    read(logits.data);
    this.#session.pool.release(logits);
  }

  /** Lets `read` see x [B, T, D] after the final norm, as the head's matrix multiplies it, during the call alone. */
  async withNormed(
    x: HostTensor<"float32">,
    firstRow: number,
    read: (normed: Float32Array) => void,
  ): Promise<void> {
    const { pool } = this.#session;
    const [numRows = 0, length = 0, width = 0] = x.shape as number[];
    const { program, made } = await this.#program("normed");
    const weights = await this.#weights(made);
    const hidden = hostTensor("float32", [numRows * length, width], x.data);
    const normed = pool.acquire("float32", hidden.shape);
    const positions = Int32Array.from({ length: numRows * length }, (_, i) => i);
    const own = this.#ofPositions(made, rowsOf(x, positions, firstRow));
    await program.run({ hidden, ...weights, ...own }, { normed });
    read(normed.data);
    pool.release(normed, ...Object.values(own));
  }

  /** Writes the log-probability of the label of each labelled position of x [B, T, D] into memory of the caller. */
  async logProbs(x: HostTensor<"float32">, labelled: LabelledPositions, into: Float32Array): Promise<void> {
    const { pool } = this.#session;
    if (this.#wayOf("loss").isSliced) {
      const positions = this.#gatherLabelled(x, labelled);
      await this.#vocabulary.logProbs(positions, into);
      for (const { hidden } of positions) pool.release(hidden);
      return;
    }
    const { program, made } = await this.#program("loss");
    const weights = await this.#weights(made);
    const length = headChunkOf(this.#wayOf("loss").arithmetic);
    for (const [index, chunk] of chunksOf(labelled, length).entries()) {
      await this.#betweenChunks?.();
      const { feeds, lent } = this.#feeds(x, chunk, index, made);
      const loss = pool.acquire("float32", [chunk.indexes.length, 1]);
      await program.run({ ...feeds, ...weights }, { loss });
      negate(loss.data, into, index * length);
      pool.release(...lent, loss);
    }
  }

  /**
   * As `logProbs`, and dx [B, T, D] of a function of the log-probabilities whose derivatives are `derivatives`; the caller
   * releases it. Gradients of the norm and the head go into the buffer where they are trained.
   */
  async gradient(
    x: HostTensor<"float32">,
    labelled: LabelledPositions,
    derivatives: Float32Array,
    into: Float32Array,
    buffer: GradientBuffer,
  ): Promise<HostTensor<"float32">> {
    const { pool } = this.#session;
    const dx = pool.acquire("float32", x.shape);
    dx.data.fill(0);
    if (this.#wayOf("lossAndGradients").isSliced) {
      const positions = this.#gatherLabelled(x, labelled);
      const gradients = await this.#vocabulary.gradient(positions, derivatives, into);
      for (const [i, { indexes }] of chunksOf(labelled, VOCABULARY_CHUNK).entries()) {
        const [{ hidden }, dHidden] = [positions[i]!, gradients[i]!];
        scatterPositions(dHidden, indexes, dx);
        pool.release(hidden, dHidden);
      }
      return dx;
    }
    const { program, made } = await this.#program("lossAndGradients");
    const weights = await this.#weights(made);
    const length = headChunkOf(this.#wayOf("lossAndGradients").arithmetic);
    for (const [index, chunk] of chunksOf(labelled, length).entries()) {
      await this.#betweenChunks?.();
      const count = chunk.indexes.length;
      const { feeds, lent } = this.#feeds(x, chunk, index, made);
      const scale = pool.acquire("float32", [count, 1]);
      negate(derivatives.subarray(index * length, index * length + count), scale.data, 0);
      const loss = pool.acquire("float32", [count, 1]);
      const dHidden = pool.acquire("float32", [count, x.shape[2] as number]);
      const bound = bindGradients(buffer, this.#adapter?.trained(null) ?? [], made.gradients);
      const { slicedTable } = made;
      const ofTable = slicedTable === null ? null : acquireForTable(this.#session, count);
      await program.run({ ...feeds, scale, ...weights }, { loss, dHidden, ...bound.into, ...ofTable });
      await bound.add();
      if (ofTable) {
        const table = this.#adapter?.trained(null).find(({ input }) => input === slicedTable) as Parameter;
        await addTableGradient(this.#session, ofTable, chunk.labels, table, buffer);
      }
      negate(loss.data, into, index * length);
      scatterPositions(dHidden, chunk.indexes, dx);
      pool.release(...lent, scale, loss, dHidden);
    }
    return dx;
  }

  /** Labelled positions in chunks; their rows are lent from the pool. */
  #gatherLabelled(x: HostTensor<"float32">, labelled: LabelledPositions): LabelledRows[] {
    return chunksOf(labelled, VOCABULARY_CHUNK).map(({ indexes, labels }) => ({
      hidden: gatherPositions(x, indexes, this.#session.pool),
      labels,
    }));
  }

  /** Inputs of one chunk; all of them are lent. */
  #feeds(
    x: HostTensor<"float32">,
    { indexes, labels }: LabelledPositions,
    chunk: number,
    { part }: HeadProgram,
  ): { feeds: Record<string, HostTensor>; lent: readonly HostTensor[] } {
    const { pool, model } = this.#session;
    const hidden = gatherPositions(x, indexes, this.#session.pool);
    const ids = pool.acquire("int64", [labels.length]);
    for (let i = 0; i < labels.length; i++) ids.data[i] = BigInt(labels[i]!);
    const feeds: Record<string, HostTensor> = { hidden, labels: ids };
    for (const dropped of part.dropout) {
      const drawn = pool.acquire("float32", evaluateShape(dropped.mask.shape, { N: labels.length }));
      this.#fillDropout?.(model.numLayers + chunk, dropped, drawn.data);
      feeds[dropped.mask.name as string] = drawn;
    }
    return { feeds, lent: Object.values(feeds) };
  }
}

/** Whether the head's matrix is read some rows at a time, where programs multiply with it in this arithmetic. */
export function readsSlices(
  session: Pick<Session, "model" | "isLargeTable">,
  adapter: AdapterView | null,
  arithmetic: HeadArithmetic | null,
): boolean {
  if (arithmetic !== null || !session.isLargeTable(session.model.headTensor.name)) return false;
  return !hasBias(session) && !changesHead(session, adapter);
}

/** Whether the head adds something to its product: slices of the matrix have none. */
function hasBias({ model }: Pick<Session, "model">): boolean {
  return model.siteOf(moduleOf(model.headTensor.name))?.bias === true;
}
