/** @file Writes the texts of a request side by side, and counts them; whoever goes away ends them. */
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import type { TextJob, TextPiece } from "../../engine/serving-model.ts";
import type { RunningText } from "../running-requests.ts";
import type { ServerState } from "../server-state.ts";
import { withinTime } from "../within-time.ts";

/** A piece of one of several texts. */
export interface NumberedPiece extends TextPiece {
  readonly index: number;
}

/** Who is told of pieces and ends as they come. */
interface Told {
  readonly onPiece?: (piece: NumberedPiece) => void | Promise<void>;
  readonly onEnd?: (index: number, end: ServeEnd) => void | Promise<void>;
}

/**
 * Writes texts; `onPiece` is told of each piece as it comes, `onEnd` of each end. Results are in the order of the jobs.
 * `request`: what they are for, where it may go on elsewhere.
 * @throws ApiError 504 when it takes longer than requests may, 503 when the server ends; as `ServingModel.write`
 */
export async function writeTexts(
  state: ServerState,
  jobs: readonly TextJob[],
  signal: AbortSignal,
  told: Told,
  request?: RunningText["request"],
): Promise<ServeEnd[]> {
  // One that fails ends the others.
  const failed = new AbortController();
  const writtenIds = [...(jobs[0]?.writtenIds ?? [])];
  let hasEnded: (ends: readonly ServeEnd[]) => void = () => {};
  const ended = new Promise<readonly ServeEnd[]>((resolve) => (hasEnded = resolve));
  const forget =
    request &&
    state.running.add({
      request,
      numTexts: jobs.length,
      stop: async () => {
        failed.abort();
        const ends = await ended;
        return { writtenIds, wasStopped: ends.some(({ finishReason }) => finishReason === "aborted") };
      },
    });
  try {
    const ends = await withinTime(state, signal, (inTime, late) => {
      const either = AbortSignal.any([inTime, failed.signal]);
      const write = async (job: TextJob, index: number): Promise<ServeEnd> => {
        const pieces = state.model.write({ ...job, signal: either });
        const tell = (): Promise<ServeEnd> => tellPieces(pieces, index, told, writtenIds);
        const end = await state.metrics.count(job.adapter ?? state.name, tell, job.writtenIds?.length);
        if (end.finishReason === "aborted") late.throwIfAborted();
        await told.onEnd?.(index, end);
        return end;
      };
      return allOf(jobs.map(write), () => failed.abort());
    });
    hasEnded(ends);
    return ends;
  } finally {
    hasEnded([]);
    forget?.();
  }
}

/** Waits for all results, and calls `fail` at the first failure. @throws what the first of those that failed did */
async function allOf<T>(results: readonly Promise<T>[], fail: () => void): Promise<T[]> {
  for (const result of results) result.catch(fail);
  const settled = await Promise.allSettled(results);
  return settled.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

/** Tells of a text's pieces, and keeps the ids of its new tokens in a list; returns its end. */
async function tellPieces(
  pieces: AsyncGenerator<TextPiece, ServeEnd, void>,
  index: number,
  { onPiece }: Told,
  writtenIds: number[],
): Promise<ServeEnd> {
  let step = await pieces.next();
  for (; !step.done; step = await pieces.next()) {
    const { token } = step.value;
    if (token && !token.isStop) writtenIds.push(token.id);
    await onPiece?.({ ...step.value, index });
  }
  return step.value;
}
