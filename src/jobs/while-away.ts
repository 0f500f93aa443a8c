/**
 * @file Waits for a store or a database that is away: retries ever more rarely, and reports once that it is away and once that it
 * is back.
 */
import type { Clock } from "./queue/clock.ts";
import { Trouble, type TroubleOptions } from "./queue/trouble.ts";

const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;

interface Waiting {
  readonly trouble: Trouble;
  /** Whether to wait after an error; other errors are thrown at once. */
  readonly isAway: (error: unknown) => boolean;
  /** Waits for a time; false: stop waiting. */
  readonly wait: (timeMs: number) => Promise<boolean>;
  /** Called with the first error. */
  readonly onAway: (error: unknown) => void;
  /** Called when the work succeeds after an error. */
  readonly onBack?: () => void;
}

/** Repeats work that needs a store or a database while that is away. @throws as the work; the last error when waiting is stopped */
export async function whileAway<T>(work: () => Promise<T>, waiting: Waiting): Promise<T> {
  const { trouble, isAway, wait, onAway, onBack } = waiting;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, MAX_WAIT_MS)) {
    try {
      const result = await work();
      if (waitMs > FIRST_WAIT_MS) onBack?.();
      trouble.end();
      return result;
    } catch (error) {
      if (!isAway(error)) throw error;
      trouble.tell(error);
      if (waitMs === FIRST_WAIT_MS) onAway(error);
      if (!(await wait(waitMs))) throw error;
    }
  }
}

/** How something that starts waits for what it needs. */
export interface Patience {
  readonly clock: Clock;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  readonly troubles: TroubleOptions;
  /** Receives the error that shows what is away. */
  readonly onAway: (error: unknown) => void;
}

/** Repeats work until what it needs is there or the signal aborts. @throws as the work; the reason of a signal that aborts */
export async function untilThere<T>(
  work: () => Promise<T>,
  isAway: (error: unknown) => boolean,
  { clock, signal, troubles, onAway }: Patience,
): Promise<T> {
  const wait = async (timeMs: number): Promise<true> => {
    await clock.sleep(timeMs, signal);
    signal.throwIfAborted();
    return true;
  };
  return await whileAway(work, { trouble: new Trouble(troubles), isAway, wait, onAway });
}
