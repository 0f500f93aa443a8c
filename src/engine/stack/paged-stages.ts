/** @file Runs a batch on pages through embedding, blocks and head, with one adapter or several. */
import { dimsOf, knownShape } from "../../graph/shape.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import { PassContext } from "../../run/context.ts";
import { Embedding } from "../../run/embedding.ts";
import { Head } from "../../run/head/head.ts";
import type { Session } from "../../run/session.ts";
import { trainedValues } from "../../run/weights/trained-values.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { whileHeld } from "../../runtime/memory/vector-memory.ts";
import { BlockStack, type StackRide } from "./block-stack.ts";
import { PagedCache } from "../cache/paged-cache.ts";
import type { PagedPass, PagedRows } from "../cache/paged-pass.ts";
import type { PromptReader } from "../prompts/prompt-reader.ts";
import { Sequence } from "../cache/sequence.ts";

export interface PagedStages {
  readonly session: Session;
  /** Trained values outside the blocks. */
  readonly outer: readonly Float32Array[];
  readonly embedding: Embedding;
  readonly blocks: BlockStack;
  readonly head: Head;
  /** Settles when all programs are compiled; a pass waits only for those that it needs. */
  readonly compiled: Promise<void>;
}

/** Reads what a view needs and begins to compile it. */
export async function compilePaged(session: Session, view: AdapterView): Promise<PagedStages> {
  const embedding = await Embedding.create(session, view);
  const head = new Head(session, view);
  // The head first: ONNX Runtime takes as long to lay out its matrix as for all blocks, which are read meanwhile. A failure is
  // reported to whoever needs logits.
  head.prepare().catch(() => {});
  const blocks = await BlockStack.create(session, view);
  const compile = async (): Promise<void> => {
    await blocks.compiled();
    // If other rows have programs for many tokens, no step should have to wait for those of this view.
    if (session.isPreparedForMany) await prepareForMany({ blocks, head });
  };
  return { session, outer: trainedValues(view, null), embedding, blocks, head, compiled: compile() };
}

/** Compiles the programs for many tokens at once. */
export async function prepareForMany({ blocks, head }: Pick<PagedStages, "blocks" | "head">): Promise<void> {
  await Promise.all([blocks.prepareMany(), head.prepareMany()]);
}

/** Runs one token, so that all that a text needs is compiled and read. */
export async function warmUp(stages: PagedStages): Promise<void> {
  const sequence = new Sequence([0], null);
  sequence.pages.push(0);
  const work = { sequences: [sequence], count: 1, wants: [true] };
  const logits = await runPaged(stages, new PagedCache(stages.session.model, 1).begin(work), work);
  if (logits) stages.session.pool.release(logits);
}

/** Rows of a pass, and what is wanted of them. */
export interface PagedWork extends PagedRows {
  /** For each row, whether the logits of its last id are wanted. */
  readonly wants: readonly boolean[];
  /** Readers of the blocks' outputs, one for each row. */
  readonly readers?: readonly (PromptReader | null)[];
}

/**
 * Runs the next ids of some rows and stores their keys and values. Returns the logits [n, V] of the last ids of the rows that
 * want them, which the caller releases; null: no row wants them.
 */
export async function runPaged(
  stages: PagedStages,
  pass: PagedPass,
  work: PagedWork,
): Promise<HostTensor<"float32"> | null> {
  const { x, context } = await embedPaged(stages, pass, work);
  try {
    return await readPaged(stages, await stages.blocks.forward(x, context, pass), pass, work);
  } finally {
    context.release();
  }
}

/** Rows that run through the blocks in a pass of other rows. */
export interface PagedRide {
  readonly blocks: StackRide;
  /** After all blocks have run: stores keys and values, and returns what `runPaged` does. */
  land(): Promise<HostTensor<"float32"> | null>;
  /** Gives up after the pass has failed. */
  abandon(): void;
}

/** Lets the next ids of some rows ride in a pass of other rows; otherwise as `runPaged`. */
export async function ridePaged(stages: PagedStages, pass: PagedPass, work: PagedWork): Promise<PagedRide> {
  const { x, context } = await embedPaged(stages, pass, work);
  const blocks = stages.blocks.ride(x, context, pass);
  return {
    blocks,
    land: async () => {
      try {
        return await readPaged(stages, blocks.end(), pass, work);
      } finally {
        context.release();
      }
    },
    abandon: () => {
      stages.session.pool.release(blocks.end());
      context.release();
    },
  };
}

/** Embeds the next ids of some rows for the first block, [B, T, D]. */
async function embedPaged(
  { session, outer, embedding }: PagedStages,
  pass: PagedPass,
  { sequences, count }: PagedRows,
): Promise<{ x: HostTensor<"float32">; context: PassContext }> {
  const ids = new BigInt64Array(sequences.length * count);
  for (const [row, { ids: all, numComputed }] of sequences.entries()) {
    for (let i = 0; i < count; i++) ids[row * count + i] = BigInt(all[numComputed + i]!);
  }
  const context = new PassContext(pass.facts, session.pool, session.tables);
  try {
    const input = hostTensor("int64", [sequences.length, count], ids);
    const { memory } = session.weights;
    const x = await whileHeld(memory, outer, "read", () => embedding.forward(input, context));
    return { x, context };
  } catch (error) {
    context.release();
    throw error;
  }
}

/** Stores what the pass wrote, and computes logits from the output y [B, T, D] of the last block, which it releases. */
async function readPaged(
  { session, outer, blocks, head }: PagedStages,
  y: HostTensor<"float32">,
  pass: PagedPass,
  { sequences, count, wants, readers = [] }: PagedWork,
): Promise<HostTensor<"float32"> | null> {
  try {
    pass.append();
    return await whileHeld(session.weights.memory, outer, "read", async () => {
      for (const [row, reader] of readers.entries()) {
        const { ids, numComputed: from } = sequences[row]!;
        await reader?.read(head, { y: rowOf(y, row), row, ids, from });
      }
      const places = Int32Array.from(
        wants.flatMap((isWanted, row) => (isWanted ? [row * count + count - 1] : [])),
      );
      return places.length > 0 ? await head.logitsAt(y, places, 0, blocks.amountOf(pass)) : null;
    });
  } finally {
    session.pool.release(y);
  }
}

/** One row of y [B, T, D], as [1, T, D]. */
function rowOf({ data, shape }: HostTensor<"float32">, row: number): HostTensor<"float32"> {
  const [, length, width] = dimsOf(knownShape(shape), 3);
  const size = length * width;
  return hostTensor("float32", [1, length, width], data.subarray(row * size, (row + 1) * size));
}
