/**
 * @file Writes after several prompts at once, each with an adapter of its own: one pass a token for all of them.
 *
 * A row that has ended waits as padding until the last one has.
 */
import type { AdapterView } from "../peft/adapter-view.ts";
import { Random } from "../random.ts";
import { PassContext } from "../run/context.ts";
import { Embedding } from "../run/embedding.ts";
import { Head } from "../run/head.ts";
import type { Session } from "../run/session.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import { BatchCache } from "./batch-cache.ts";
import { BlockStack } from "./block-stack.ts";
import type { Completion, FinishReason, GenerateRequest } from "./generator.ts";
import { PREFILL_CHUNK, checkPrompt } from "./prompt.ts";
import { GREEDY, sampleToken } from "./sampler.ts";

/** One row of a batch. */
export interface RowRequest extends Omit<GenerateRequest, "signal" | "onLogits"> {
  /** Which of the adapters that lie side by side it has; 0 where there is one. */
  readonly adapterIndex: number;
}

/** A row while it is written. */
interface Row {
  readonly request: RowRequest;
  readonly random: Random;
  /** Tokens that it may have yet. */
  readonly numNew: number;
  readonly ids: number[];
  firstMs: number;
  lastMs: number;
  finishReason: FinishReason | null;
}

/** A batch of rows on the programs of an adapter, or of several side by side; null: of the base alone. */
export class BatchWriter {
  readonly #session: Session;
  readonly #blocks: BlockStack;
  readonly #embedding: Embedding;
  readonly #head: Head;

  private constructor(session: Session, blocks: BlockStack, embedding: Embedding, head: Head) {
    this.#session = session;
    this.#blocks = blocks;
    this.#embedding = embedding;
    this.#head = head;
  }

  /** Compiles the programs. `view`: of adapters for writing. */
  static async create(session: Session, view: AdapterView | null): Promise<BatchWriter> {
    const [blocks, embedding] = [
      await BlockStack.create(session, view),
      await Embedding.create(session, view),
    ];
    return new BatchWriter(session, blocks, embedding, new Head(session, view));
  }

  /**
   * Writes all rows to their ends; the results are in their order. Each row draws with a generator of its own seed.
   * @throws UsageError "usage/shape" for a prompt that is empty, too long or of foreign ids
   */
  async write(requests: readonly RowRequest[], signal?: AbortSignal): Promise<Completion[]> {
    const { model } = this.#session;
    for (const { promptIds } of requests) checkPrompt(model, promptIds);
    const startedMs = performance.now();
    const rows = requests.map((request): Row => {
      // The last token needs no position: nothing follows it.
      const numNew = Math.min(request.maxNewTokens, model.maxPositions - request.promptIds.length + 1);
      const random = new Random(request.seed ?? 0);
      const finishReason = numNew > 0 ? null : "length";
      return { request, random, numNew, ids: [], firstMs: startedMs, lastMs: startedMs, finishReason };
    });
    const cache = new BatchCache(model, rows.length);
    const longest = Math.max(0, ...requests.map(({ promptIds }) => promptIds.length));
    for (let start = 0; start < longest; start += PREFILL_CHUNK) {
      if (stop(rows, signal)) break;
      const chunks = requests.map(({ promptIds }) => promptIds.slice(start, start + PREFILL_CHUNK));
      const ends = requests.map(({ promptIds }, row) => {
        const rest = promptIds.length - start;
        return rest > 0 && rest <= PREFILL_CHUNK && rows[row]?.finishReason === null;
      });
      await this.#pass(rows, cache, chunks, ends, true);
    }
    while (!stop(rows, signal)) {
      const chunks = rows.map(({ finishReason, ids }) => (finishReason === null ? ids.slice(-1) : []));
      await this.#pass(
        rows,
        cache,
        chunks,
        rows.map(({ finishReason }) => finishReason === null),
        false,
      );
    }
    return rows.map((row) => completion(row, startedMs));
  }

  /** Runs new tokens of each row, and draws the next one where `draws` says so. */
  async #pass(
    rows: readonly Row[],
    cache: BatchCache,
    chunks: readonly (readonly number[])[],
    draws: readonly boolean[],
    arePrompts: boolean,
  ): Promise<void> {
    const { pool, tables, model } = this.#session;
    const counts = chunks.map(({ length }) => length);
    const length = Math.max(...counts);
    const tokens = {
      length,
      counts,
      endsPrompt: draws.map((ends) => ends && arePrompts),
      adapterOf: rows.map(({ request }) => request.adapterIndex),
    };
    const ids = new BigInt64Array(rows.length * length);
    for (const [row, chunk] of chunks.entries()) {
      for (const [i, id] of chunk.entries()) ids[row * length + i] = BigInt(id);
    }
    const context = new PassContext(cache.begin(tokens), pool, tables);
    const x = await this.#embedding.forward(hostTensor("int64", [rows.length, length], ids), context);
    const y = await this.#blocks.forward(x, context, cache);
    context.release();
    cache.append(tokens);
    const drawing = rows.flatMap((row, index) => (draws[index] === true ? [{ row, index }] : []));
    if (drawing.length > 0) {
      const places = Int32Array.from(drawing, ({ index }) => index * length + counts[index]! - 1);
      const logits = await this.#head.logitsAt(y, places);
      for (const [i, { row }] of drawing.entries()) {
        draw(row, logits.data.subarray(i * model.numOutputs, (i + 1) * model.numOutputs));
      }
      pool.release(logits);
    }
    pool.release(y);
  }
}

/** Draws the next token of a row, which may be its last. */
function draw(row: Row, logits: Float32Array): void {
  const { sampling = GREEDY, stopIds = [] } = row.request;
  const id = sampleToken(logits, sampling, row.random);
  row.lastMs = performance.now();
  if (row.ids.length === 0) row.firstMs = row.lastMs;
  row.ids.push(id);
  if (stopIds.includes(id)) row.finishReason = "stop";
  else if (row.ids.length === row.numNew) row.finishReason = "length";
}

/** Whether all rows have ended; a signal ends them. */
function stop(rows: readonly Row[], signal: AbortSignal | undefined): boolean {
  if (signal?.aborted) for (const row of rows) row.finishReason ??= "aborted";
  return rows.every(({ finishReason }) => finishReason !== null);
}

function completion({ ids, firstMs, lastMs, finishReason }: Row, startedMs: number): Completion {
  const [count, sinceMs] = ids.length > 1 ? [ids.length - 1, firstMs] : [ids.length, startedMs];
  return {
    ids,
    finishReason: finishReason ?? "length",
    numReusedTokens: 0,
    firstTokenMs: firstMs - startedMs,
    tokensPerSecond: (1000 * count) / Math.max(1e-3, lastMs - sinceMs),
  };
}
