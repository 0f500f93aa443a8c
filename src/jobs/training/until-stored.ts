/**
 * @file Waits for the store of a job's files. One that is away fails no job: its worker keeps what it has trained, and asks again
 * until the store answers or somebody stops the job.
 */
import { whatIsAway } from "../away.ts";
import type { Lease } from "../queue/lease.ts";
import type { Trouble } from "../queue/trouble.ts";
import { StoreAwayError } from "../store/s3.ts";

const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;

/**
 * Does work that needs the store, again and again while that is away, which the job tells once, and when it is over.
 *
 * @throws as the work does; StoreAwayError where the job is to be stopped, or is lost
 */
export async function untilStored<T>(lease: Lease, trouble: Trouble, work: () => Promise<T>): Promise<T> {
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, MAX_WAIT_MS)) {
    try {
      const result = await work();
      if (waitMs > FIRST_WAIT_MS) lease.tell({ message: "The store of the server answers; the job goes on" });
      trouble.end();
      return result;
    } catch (error) {
      if (!(error instanceof StoreAwayError)) throw error;
      trouble.tell(error);
      if (waitMs === FIRST_WAIT_MS) {
        lease.tell({ level: "warn", message: `${whatIsAway(error)}; it is asked again until it does` });
      }
      await lease.wait(waitMs);
      if (lease.signal.aborted || !lease.isHeld()) throw error;
    }
  }
}
