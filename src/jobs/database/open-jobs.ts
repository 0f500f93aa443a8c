/**
 * @file Opens the table of jobs, either in the database at a URL or in one inside this process. The driver is loaded only when it
 * is needed.
 */
import type { Database } from "./database.ts";
import type { JobTable } from "../job-table.ts";
import type { TroubleOptions } from "../queue/trouble.ts";
import { type Patience, untilThere } from "../while-away.ts";
import { tellingDiskFaults } from "./disk-faults.ts";

/**
 * Opens the jobs of a PostgreSQL database, which any number of processes may share; waits while it is starting.
 * @throws as `prepareTables`; the reason of a signal that aborts
 */
export async function openSharedJobs(url: string, patience: Patience): Promise<JobTable> {
  const { isStarting, openPostgres } = await import("./postgres.ts");
  return await untilThere(() => open(openPostgres(url), patience.troubles), isStarting, patience);
}

/**
 * Opens the jobs of a folder for this process only; `signal` stops making its files. @throws as `prepareTables` and `openPglite`
 */
export async function openOwnJobs(
  folder: string,
  { signal, troubles }: Pick<Patience, "signal" | "troubles">,
): Promise<JobTable> {
  const { openPglite } = await import("./pglite.ts");
  return await open(await openPglite(folder, signal), troubles);
}

async function open(database: Database, { onTrouble }: TroubleOptions): Promise<JobTable> {
  const [{ prepareTables }, { SqlJobs }] = await Promise.all([
    import("./schema.ts"),
    import("./sql-jobs.ts"),
  ]);
  try {
    await prepareTables(database);
    return new SqlJobs(tellingDiskFaults(database), onTrouble);
  } catch (error) {
    await database.close();
    throw error;
  }
}
