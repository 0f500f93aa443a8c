/**
 * @file Opens the table of jobs, either in the database at a URL or in one inside this process. The driver is loaded only
 * when it is opened.
 */
import type { Database } from "./database.ts";
import type { JobTable } from "../job-table.ts";
import { tellingDiskFaults } from "./disk-faults.ts";

/** Opens the jobs of a PostgreSQL database, for any number of processes. @throws as `prepareTables` */
export async function openSharedJobs(url: string): Promise<JobTable> {
  const { openPostgres } = await import("./postgres.ts");
  return await open(openPostgres(url));
}

/** Opens the jobs of a folder, for this process alone; `signal` stops making them. @throws as `prepareTables` and `openPglite` */
export async function openOwnJobs(folder: string, signal: AbortSignal): Promise<JobTable> {
  const { openPglite } = await import("./pglite.ts");
  return await open(await openPglite(folder, signal));
}

async function open(database: Database): Promise<JobTable> {
  const [{ prepareTables }, { SqlJobs }] = await Promise.all([
    import("./schema.ts"),
    import("./sql-jobs.ts"),
  ]);
  try {
    await prepareTables(database);
    return new SqlJobs(tellingDiskFaults(database));
  } catch (error) {
    await database.close();
    throw error;
  }
}
