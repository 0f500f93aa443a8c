/** @file Texts that share a pass, with their next ids and with the programs and pages that they run with. */
import type { PreparedRows, RowBatch } from "../adapters/held-adapter.ts";
import type { PagedCache } from "../cache/paged-cache.ts";
import type { CacheLayout, PagedPass } from "../cache/paged-pass.ts";
import type { PagedStages, PagedWork } from "../stack/paged-stages.ts";
import type { ActiveText } from "./active-text.ts";

/** Rows that may run in one pass. */
export interface ReadyRows {
  readonly stages: PagedStages;
  /** The texts that the rows belong to, in the order of the rows. */
  readonly texts: readonly ActiveText[];
  readonly work: PagedWork;
  readonly pass: PagedPass;
}

interface RowSource {
  readonly cache: PagedCache;
  readonly layout: CacheLayout | undefined;
  /** Whether a text is still to be written. */
  readonly isAlive: (text: ActiveText) => boolean;
}

/** Prepares the next `count` ids of texts of a batch; the pass must begin at once. null: no text is left. */
export async function readyRows(
  batch: RowBatch,
  given: readonly ActiveText[],
  count: number,
  { cache, layout, isAlive }: RowSource,
): Promise<ReadyRows | null> {
  let alive = given;
  let prepared: PreparedRows | null = null;
  // Prepares again if a text was cancelled meanwhile: it must have no row.
  while (!prepared) {
    alive = alive.filter(isAlive);
    if (alive.length === 0) return null;
    prepared = await batch.prepare(alive.map(({ held }) => held));
    if (!alive.every(isAlive)) prepared = null;
  }
  const order = prepared.order ?? cache.arrange(alive.map(({ sequence }) => sequence));
  const texts = order.map((row) => alive[row]!);
  const work = {
    sequences: texts.map(({ sequence }) => sequence),
    count,
    wants: texts.map(
      ({ sequence: { numPending, ids }, maxLength }) => numPending === count && ids.length < maxLength,
    ),
    readers: texts.map(({ request }) => request.reader ?? null),
  };
  return { stages: prepared.stages, texts, work, pass: cache.begin(work, layout) };
}
