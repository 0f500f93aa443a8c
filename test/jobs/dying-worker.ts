/** @file A worker that takes a job and is killed in the midst of a transaction on it. Arguments: URL of the database, base. */
import { openSharedJobs } from "../../src/jobs/database/open-jobs.ts";
import { JobQueue } from "../../src/jobs/queue/job-queue.ts";
import { patient } from "./patient.ts";

const [url = "", base = ""] = process.argv.slice(2);
const table = await openSharedJobs(url, patient());
const queue = new JobQueue({ table, maxWaiting: 1, now: () => 1, newId: () => `dying-${process.pid}` });
const taken = await queue.take(base, "dying", 300);
await table.withJob(taken?.row.job.id ?? "", () => {
  process.kill(process.pid, "SIGKILL");
  return { result: null };
});
