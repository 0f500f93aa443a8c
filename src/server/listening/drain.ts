/**
 * @file Stops a server. Running work may go on for a while, new requests are told that the server stops, and jobs are left to the
 * next process.
 */
import type { ServerState } from "../server-state.ts";
import type { Listening } from "./listen.ts";

/** How long the last events of aborted texts may take. */
const LAST_WORDS_MS = 1000;

/**
 * Ends what still runs after `graceMs`; jobs stop after their step. @throws the first failure to stop something, after all else
 * has stopped
 */
export async function drain(
  state: ServerState,
  server: Pick<Listening, "stop"> | null,
  graceMs: number,
): Promise<void> {
  state.isDraining = true;
  const timer = setTimeout(() => state.end(), graceMs);
  const jobs = state.fineTuning?.stop();
  const ended = await Promise.allSettled([server?.stop(graceMs + LAST_WORDS_MS, jobs), jobs]);
  clearTimeout(timer);
  await state.fineTuning?.close();
  for (const each of ended) if (each.status === "rejected") throw each.reason;
}
