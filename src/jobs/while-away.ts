/** @file Waits for a store or a database that is away: asks again ever more rarely, tells so once, and tells when it is over. */
import type { Clock } from "./queue/clock.ts";
import { Trouble, type TroubleOptions } from "./queue/trouble.ts";

const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;

interface Waiting {
  readonly trouble: Trouble;
  /** Whether to wait after an error; others are thrown at once. */
  readonly isAway: (error: unknown) => boolean;
  /** Waits so long; false: no longer. */
  readonly wait: (timeMs: number) => Promise<boolean>;
  /** Is told of the first error. */
  readonly onAway: (error: unknown) => void;
  /** Is told when there was one, and there is none any more. */
  readonly onBack?: () => void;
}

/** Does work that needs a store or a database, again and again while that is away. @throws as the work does; what was last where nobody waits any longer */
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

/** How whatever starts waits for what it needs. */
export interface Patience {
  readonly clock: Clock;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  readonly troubles: TroubleOptions;
  /** Is told what is away, and waited for. */
  readonly onAway: (error: unknown) => void;
}

/** Does work again and again until what it needs is there, as long as nobody stops it. @throws as the work does; the reason of a signal that aborts */
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
