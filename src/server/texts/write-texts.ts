/** @file Writes the texts of one request in parallel and counts their tokens. The texts end when their client has gone. */
import { allOf } from "../../engine/all-of.ts";
import { hashOfAdapter } from "../../engine/adapters/adapter-hash.ts";
import { readToEnd } from "../../engine/generation/read-to-end.ts";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import type { TextJob, TextPiece, WrittenToken } from "../../engine/serving-model.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { RunningText, StoppedText } from "../running-requests.ts";
import type { ServerState } from "../server-state.ts";
import { withinTime } from "../within-time.ts";

/** A piece of one of several texts. */
export interface NumberedPiece extends TextPiece {
  readonly index: number;
}

/** Receives pieces and ends as they come. */
interface Told {
  readonly onPiece?: (piece: NumberedPiece) => void | Promise<void>;
  readonly onEnd?: (index: number, end: ServeEnd) => void | Promise<void>;
}

interface TextsOfRequest {
  readonly jobs: readonly TextJob[];
  /** Describes the request, if it can move to another server. */
  readonly request?: RunningText["request"];
}

/**
 * Writes texts; `onPiece` receives each piece as it comes, `onEnd` each end. Results are in the order of the jobs.
 * @throws ApiError 504 when it takes longer than requests may, 503 when the server ends; as `ServingModel.write`
 */
export async function writeTexts(
  state: ServerState,
  { jobs, request }: TextsOfRequest,
  signal: AbortSignal,
  told: Told,
): Promise<ServeEnd[]> {
  // A text that fails ends the others.
  const failed = new AbortController();
  const movable = request && new MovableText(jobs, state, () => failed.abort());
  const forget = movable && state.running.add({ request, numTexts: jobs.length, stop: () => movable.stop() });
  try {
    const ends = await withinTime(state, signal, (inTime, late) => {
      const either = AbortSignal.any([inTime, failed.signal]);
      const write = async (job: TextJob, index: number): Promise<ServeEnd> => {
        const pieces = state.model.write({ ...job, signal: either, onAdapter: (has) => movable?.has(has) });
        const tell = (): Promise<ServeEnd> => tellPieces(pieces, index, told, movable);
        const end = await state.metrics.count(job.adapter ?? state.name, tell, job.writtenIds?.length);
        if (end.finishReason === "aborted") late.throwIfAborted();
        await told.onEnd?.(index, end);
        return end;
      };
      return allOf(jobs.map(write), () => failed.abort());
    });
    movable?.hasEnded(ends);
    return ends;
  } finally {
    movable?.hasEnded([]);
    forget?.();
  }
}

/** A text that can move to another server, with what has been written so far. */
class MovableText {
  readonly written: WrittenToken[] = [];
  hasEnded: (ends: readonly ServeEnd[]) => void = () => {};
  readonly #ended = new Promise<readonly ServeEnd[]>((resolve) => (this.hasEnded = resolve));
  readonly #name: string | null;
  readonly #state: ServerState;
  readonly #abort: () => void;
  #adapter: Adapter | null = null;

  constructor([job]: readonly TextJob[], state: ServerState, abort: () => void) {
    this.#name = job?.adapter ?? null;
    this.#state = state;
    this.#abort = abort;
  }

  /** Keeps the adapter that the text is written with: another may have its name by the time the text is stopped. */
  has(adapter: Adapter): void {
    this.#adapter = adapter;
  }

  /** The adapter's hash is computed first: the adapter stays in memory only while the text is written. */
  async stop(): Promise<StoppedText> {
    const adapter = this.#adapter ? hashOfAdapter(this.#adapter) : await this.#coming();
    this.#abort();
    const ends = await this.#ended;
    const wasStopped = ends.some(({ finishReason }) => finishReason === "aborted");
    return { adapter, written: this.written, wasStopped };
  }

  /** Waits for the adapter, which is still being loaded, and hashes it. */
  async #coming(): Promise<string | null> {
    return this.#name === null ? null : await this.#state.models.withAdapter(this.#name, hashOfAdapter);
  }
}

/** Passes on a text's pieces, and keeps its tokens if it can move; returns its end. */
async function tellPieces(
  pieces: AsyncGenerator<TextPiece, ServeEnd, void>,
  index: number,
  { onPiece }: Told,
  movable?: MovableText,
): Promise<ServeEnd> {
  return await readToEnd(pieces, async (piece) => {
    const { token, told } = piece;
    if (told) movable?.written.push(told);
    if (token && !token.isStop) movable?.written.push({ id: token.id, logProbs: token.logProbs });
    await onPiece?.({ ...piece, index });
  });
}
