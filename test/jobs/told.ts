/** @file All that a job has told, for tests. */
import type { JobEvent } from "../../src/jobs/job.ts";
import type { JobTable } from "../../src/jobs/job-table.ts";

/** The oldest first. */
export async function toldBy(table: JobTable, id: string): Promise<JobEvent[]> {
  return ((await table.listEvents(id)) ?? []).toReversed();
}
