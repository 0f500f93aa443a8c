/**
 * @file Runs the next ids of texts, in as few batches as their adapters allow, then draws a token for each text of which all ids
 * have run. A failure affects only the texts of its batch.
 */
import { sizeAt } from "../../graph/shape.ts";
import type { BufferPool } from "../../runtime/memory/buffer-pool.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { RowBatch } from "../adapters/held-adapter.ts";
import type { RowBatches } from "../adapters/row-batches.ts";
import type { PagedCache } from "../cache/paged-cache.ts";
import type { CacheLayout } from "../cache/paged-pass.ts";
import type { ScheduledStep, Scheduler } from "../scheduling/scheduler.ts";
import { runPaged } from "../stack/paged-stages.ts";
import { type ReadyRows, readyRows } from "./ready-rows.ts";
import type { ActiveText } from "./active-text.ts";
import { TextRide } from "./text-ride.ts";
import type { ActiveTexts } from "./active-texts.ts";

interface TextPassesParts {
  readonly pool: BufferPool;
  readonly rows: RowBatches;
  readonly cache: PagedCache;
  readonly scheduler: Scheduler;
  readonly texts: ActiveTexts;
}

export class TextPasses {
  readonly #parts: TextPassesParts;

  constructor(parts: TextPassesParts) {
    this.#parts = parts;
  }

  /** Runs the next `count` ids of some texts. */
  async run(given: readonly ActiveText[], count: number): Promise<void> {
    const { texts, rows } = this.#parts;
    const alive = given.filter((text) => texts.isAlive(text));
    try {
      const isInvariant = alive.some(({ sequence }) => sequence.isBatchInvariant);
      const held = alive.map((text) => text.held);
      for (const batch of await rows.of(held, { isInvariant })) await this.#runBatch(batch, alive, count);
    } catch (error) {
      for (const text of alive) texts.fail(text, error);
    }
  }

  async #runBatch(batch: RowBatch, given: readonly ActiveText[], count: number): Promise<void> {
    try {
      const ready = await this.#prepare(batch, given, count);
      if (ready) this.#follow(ready, await runPaged(ready.stages, ready.pass, ready.work));
    } catch (error) {
      for (const row of batch.rows) this.#parts.texts.fail(given[row]!, error);
    }
  }

  /**
   * Prepares the next ids of one prompt, and the next tokens of texts that share a pass, to ride in a pass of a training; null:
   * there are none.
   */
  async ride({ chunks, decodes }: ScheduledStep): Promise<TextRide | null> {
    const { texts, rows } = this.#parts;
    const ride = new TextRide({
      follow: (ready, logits) => this.#follow(ready, logits),
      fail: (failed, error) => failed.forEach((text) => texts.fail(text, error)),
    });
    for (const { sequence, count } of chunks.slice(0, 1)) {
      const [text] = texts.of([sequence]);
      if (!text) continue;
      texts.start(text);
      // Only one pass at a time may use rows by heads or the slots of adapters that share a batch.
      await ride.add([text], () => this.#prepare(rows.alone(text.held), [text], count, "pages"));
    }
    const writing = texts.of(decodes);
    if (writing.length > 0) {
      await ride.add(writing, async () => {
        const [batch] = await rows.of(writing.map(({ held }) => held));
        return batch ? await this.#prepare(batch, writing, 1) : null;
      });
    }
    return ride.isEmpty ? null : ride;
  }

  /** Prepares the next ids of a batch; the pass must begin at once. null: no text is left. */
  #prepare(
    batch: RowBatch,
    given: readonly ActiveText[],
    count: number,
    layout?: CacheLayout,
  ): Promise<ReadyRows | null> {
    const { cache, texts } = this.#parts;
    const ofRows = batch.rows.map((row) => given[row]!);
    return readyRows(batch, ofRows, count, { cache, layout, isAlive: (text) => texts.isAlive(text) });
  }

  /** Counts the ids that have run, and draws the next tokens from logits [n, V], which it releases. */
  #follow({ texts: ofRows, work: { count, wants } }: ReadyRows, logits: HostTensor<"float32"> | null): void {
    const { texts, scheduler, pool } = this.#parts;
    let next = 0;
    for (const [i, text] of ofRows.entries()) {
      const isDrawn = wants[i] === true;
      const own = isDrawn ? next++ : -1;
      // A text that was cancelled while the batch ran no longer has pages.
      if (!texts.isAlive(text)) continue;
      scheduler.computed(text.sequence, count);
      if (!isDrawn && text.sequence.numPending === 0) texts.end(text, "length");
      if (logits && isDrawn) texts.draw(text, rowOf(logits.data, own, sizeAt(logits.shape, 1)));
    }
    if (logits) pool.release(logits);
  }
}

function rowOf(data: Float32Array, row: number, width: number): Float32Array {
  return data.subarray(row * width, (row + 1) * width);
}
