/**
 * @file Starts a server's jobs. While the store of their files cannot be reached, texts are served, `/ready` says what the server
 * waits for, and the jobs begin when the store answers.
 */
import { toldOfAway } from "../../jobs/away.ts";
import { untilAnswered } from "../../jobs/store/open-state.ts";
import type { Patience } from "../../jobs/while-away.ts";
import type { ServerState } from "../server-state.ts";

/**
 * Resolves when the jobs have begun, the signal has aborted, or the store cannot be reached; in that case `begun` resolves later.
 * @throws FailedError "failed/store" when the store refuses; so does `begun`
 */
export async function beginJobs(
  state: ServerState,
  { onAway, ...patience }: Patience,
): Promise<{ readonly begun: Promise<void> }> {
  return await new Promise((resolve, reject) => {
    const tell = (error: unknown): void => {
      state.awaits = toldOfAway(error);
      onAway(error);
      resolve({ begun });
    };
    const begun = begin(state, { ...patience, onAway: tell });
    begun.then(() => resolve({ begun }), reject);
  });
}

async function begin(state: ServerState, patience: Patience): Promise<void> {
  if (!state.fineTuning) return;
  try {
    await untilAnswered(state.fineTuning.files, patience);
  } catch (error) {
    if (patience.signal.aborted) return;
    throw error;
  }
  await state.fineTuning.start();
  state.awaits = null;
}
