/**
 * @file Final norm, output head and log-probabilities of labels, in chunks of the positions that have one.
 *
 * Positions without a label are never multiplied with the head, and the logits of more than one chunk never exist.
 */
import { evaluateShape, sizeAt } from "../../graph/shape.ts";
import { UsageError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { HeadArithmetic } from "../arithmetic.ts";
import type { FillDropout } from "../blocks/block-runner.ts";
import type { BetweenBlocks } from "../blocks/forward-blocks.ts";
import type { GradientBuffer } from "../gradients/gradient-buffer.ts";
import { bindGradients } from "../gradients/gradient-outputs.ts";
import type { Session } from "../session.ts";
import type { HeadProgram } from "./head-graph.ts";
import {
  type LabelledPositions,
  chunksOf,
  gatherPositions,
  negate,
  scatterPositions,
} from "./head-positions.ts";
import { HeadPrograms } from "./head-programs.ts";
import { acquireForTable, addTableGradient } from "./head-table.ts";
import { type LabelledRows, VocabularyHead } from "./vocabulary-head.ts";

/** Positions of one chunk: 50 MB of logits at a time for a vocabulary of 49,152. */
export const HEAD_CHUNK = 256;

/** Positions of one chunk with codes: integer products are as fast with fewer, and rounding needs memory. */
const CODES_CHUNK = 128;

/** Positions of one chunk in an arithmetic. */
export function headChunkOf(arithmetic: HeadArithmetic | null): number {
  return arithmetic === null ? HEAD_CHUNK : CODES_CHUNK;
}

/** Positions that are multiplied with a slice of the matrix at a time, if it is not held whole in float32. */
export const VOCABULARY_CHUNK = 1024;

interface LabelHeadOptions {
  /** Fills the dropout masks of a chunk, which counts as a layer after the last; null: nothing is dropped. */
  readonly fillDropout?: FillDropout | null;
  /** Awaited before each chunk. */
  readonly betweenBlocks?: BetweenBlocks | undefined;
}

export class LabelHead {
  readonly #session: Session;
  readonly #adapter: AdapterView;
  readonly #fillDropout: FillDropout | null;
  readonly #programs: HeadPrograms;
  /** Used where the matrix is read some rows at a time. */
  readonly #vocabulary: VocabularyHead;
  readonly #betweenBlocks: BetweenBlocks | undefined;

  /** Programs are compiled at first use. */
  constructor(
    session: Session,
    adapter: AdapterView,
    { fillDropout = null, betweenBlocks }: LabelHeadOptions = {},
  ) {
    this.#session = session;
    this.#adapter = adapter;
    this.#fillDropout = fillDropout;
    this.#programs = new HeadPrograms(session, adapter, { drawsDropout: fillDropout !== null });
    this.#vocabulary = new VocabularyHead(session, betweenBlocks);
    this.#betweenBlocks = betweenBlocks;
  }

  /** Writes the log-probability of the label of each labelled position of x [B, T, D] into the caller's memory. */
  async logProbs(x: HostTensor<"float32">, labelled: LabelledPositions, into: Float32Array): Promise<void> {
    const { pool } = this.#session;
    if (this.#programs.wayOf("loss").isSliced) {
      const positions = this.#gatherLabelled(x, labelled);
      try {
        return await this.#vocabulary.logProbs(positions, into);
      } finally {
        for (const { hidden } of positions) pool.release(hidden);
      }
    }
    const { program, made } = await this.#programs.get("loss");
    const weights = await this.#programs.weights(made);
    const length = headChunkOf(this.#programs.wayOf("loss").arithmetic);
    for (const [index, chunk] of chunksOf(labelled, length).entries()) {
      await this.#betweenBlocks?.();
      const { feeds, lent } = this.#feeds(x, chunk, index, made);
      const loss = pool.acquire("float32", [chunk.indexes.length, 1]);
      try {
        await program.run({ ...feeds, ...weights }, { loss });
        negate(loss.data, into, index * length);
      } finally {
        pool.release(...lent, loss);
      }
    }
  }

  /**
   * As `logProbs`, and returns dx [B, T, D] of a function of the log-probabilities, given its derivative for each label; the
   * caller releases it. Gradients of trained parameters in norm and head go into the buffer.
   */
  async gradient(
    x: HostTensor<"float32">,
    labelled: LabelledPositions,
    { derivatives, into }: { readonly derivatives: Float32Array; readonly into: Float32Array },
    buffer: GradientBuffer,
  ): Promise<HostTensor<"float32">> {
    const { pool } = this.#session;
    const dx = pool.acquire("float32", x.shape);
    dx.data.fill(0);
    if (this.#programs.wayOf("lossAndGradients").isSliced) {
      const positions = this.#gatherLabelled(x, labelled);
      const gradients = await this.#vocabulary.gradient(positions, derivatives, into);
      for (const [i, { indexes }] of chunksOf(labelled, VOCABULARY_CHUNK).entries()) {
        const [{ hidden }, dHidden] = [positions[i]!, gradients[i]!];
        scatterPositions(dHidden, indexes, dx);
        pool.release(hidden, dHidden);
      }
      return dx;
    }
    const { program, made } = await this.#programs.get("lossAndGradients");
    const weights = await this.#programs.weights(made);
    const length = headChunkOf(this.#programs.wayOf("lossAndGradients").arithmetic);
    for (const [index, chunk] of chunksOf(labelled, length).entries()) {
      await this.#betweenBlocks?.();
      const count = chunk.indexes.length;
      const { feeds, lent } = this.#feeds(x, chunk, index, made);
      const scale = pool.acquire("float32", [count, 1]);
      negate(derivatives.subarray(index * length, index * length + count), scale.data, 0);
      const loss = pool.acquire("float32", [count, 1]);
      const dHidden = pool.acquire("float32", [count, sizeAt(x.shape, 2)]);
      const bound = bindGradients(buffer, this.#adapter.trained(null), made.gradients);
      const { slicedTable } = made;
      const ofTable = slicedTable === null ? null : acquireForTable(this.#session, count);
      await program.run({ ...feeds, scale, ...weights }, { loss, dHidden, ...bound.into, ...ofTable });
      await bound.add();
      if (ofTable) {
        const table = this.#adapter.trained(null).find(({ input }) => input === slicedTable)!;
        await addTableGradient(this.#session, ofTable, chunk.labels, { buffer, table });
      }
      negate(loss.data, into, index * length);
      scatterPositions(dHidden, chunk.indexes, dx);
      pool.release(...lent, scale, loss, dHidden);
    }
    return dx;
  }

  /** Labelled positions in chunks; their rows are taken from the pool. */
  #gatherLabelled(x: HostTensor<"float32">, labelled: LabelledPositions): LabelledRows[] {
    return chunksOf(labelled, VOCABULARY_CHUNK).map(({ indexes, labels }) => ({
      hidden: gatherPositions(x, indexes, this.#session.pool),
      labels,
    }));
  }

  /** Inputs of one chunk; `lent` lists those to release. */
  #feeds(
    x: HostTensor<"float32">,
    { indexes, labels, targets }: LabelledPositions,
    chunk: number,
    { part }: HeadProgram,
  ): { feeds: Record<string, HostTensor>; lent: readonly HostTensor[] } {
    const { pool, model } = this.#session;
    requireTargets(model, labels.length, targets);
    const hidden = gatherPositions(x, indexes, pool);
    const feeds: Record<string, HostTensor> = { hidden };
    if (targets) {
      const values = pool.acquire("float32", [labels.length, model.numOutputs]);
      values.data.set(targets);
      feeds["targets"] = values;
    } else {
      const ids = pool.acquire("int64", [labels.length]);
      for (let i = 0; i < labels.length; i++) ids.data[i] = BigInt(labels[i]!);
      feeds["labels"] = ids;
    }
    for (const dropped of part.dropout) {
      const drawn = pool.acquire("float32", evaluateShape(dropped.mask.shape, { N: labels.length }));
      this.#fillDropout?.(model.numLayers + chunk, dropped, drawn.data);
      feeds[dropped.mask.name] = drawn;
    }
    return { feeds, lent: Object.values(feeds) };
  }
}

/** @throws UsageError "usage/shape" for positions whose number of targets differs from what the model predicts */
function requireTargets(model: Model, numPositions: number, targets: Float32Array | null): void {
  const { hasTargets, numOutputs, problem } = model;
  const [found, wanted] = [(targets?.length ?? 0) / numPositions, hasTargets ? numOutputs : 0];
  if (found === wanted) return;
  throw new UsageError(
    "usage/shape",
    `Cannot compute the loss of examples with ${found} numbers each: expected ${wanted}${problem === null ? "" : `, as the model is for ${problem}`}`,
    {
      hint: "Read the data with the kind of rows that the objective of the model names, and with the classes of the model.",
    },
  );
}
