/**
 * @file Waits for the store of a job's files. A store that is away does not fail a job for days: its worker keeps what it has
 * trained, and tries again until the store answers or somebody stops the job.
 */
import { whatIsAway } from "../away.ts";
import type { Lease } from "../queue/lease.ts";
import type { Trouble } from "../queue/trouble.ts";
import { StoreAwayError } from "../store/store-errors.ts";
import { whileAway } from "../while-away.ts";

/** How long a job waits: over a weekend. A job that waited for ever would occupy its worker and its client. */
const MAX_AWAY_MS = 3 * 24 * 60 * 60 * 1000;

/**
 * Repeats work that needs the store while that is away; the job reports this once, and when it is over.
 *
 * @throws as the work; StoreAwayError when the job must stop, is lost, or has waited for days
 */
export async function untilStored<T>(lease: Lease, trouble: Trouble, work: () => Promise<T>): Promise<T> {
  const begunMs = lease.nowMs();
  return await whileAway(work, {
    trouble,
    isAway: (error) => error instanceof StoreAwayError,
    wait: async (timeMs) => {
      if (lease.nowMs() - begunMs >= MAX_AWAY_MS) return false;
      await lease.wait(timeMs);
      return !lease.signal.aborted && lease.isHeld();
    },
    onAway: (error) => lease.tell({ level: "warn", message: `${whatIsAway(error)}; retrying until it does` }),
    onBack: () => lease.tell({ message: "The store of the server answers; the job continues" }),
  });
}
