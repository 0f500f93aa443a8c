/** @file What a client may do to a job in each of its states: what it asks for happens, or it is told why not. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { JobStatus } from "../../src/jobs/job.ts";
import { FIRST_RUN } from "../../src/jobs/state-folder.ts";
import { NEW_HOLD } from "../../src/jobs/queue/shares.ts";
import { MemoryJobs } from "../jobs/memory-jobs.ts";
import { newJob } from "../jobs/new-job.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { serveTiny } from "./tiny-server.ts";

const table = new MemoryJobs();
const server = await serveTiny(temporaryFolder(), { jobs: table });
after(() => server.close());

/** A job of a base that nobody serves, so that it stays as it is. */
async function addJob(status: JobStatus, name: string): Promise<string> {
  const job = newJob(`ftjob-${status.replace("_", "")}-${name}`, { status });
  const row = { job, base: "other", baseName: "other", initAdapter: null, ...NEW_HOLD, folder: FIRST_RUN };
  await table.insert({ ...row, round: 0, shares: [], removals: 0, share: null }, [], 100);
  return job.id;
}

/** The state that a job has then, or the code of the refusal. */
const ACTIONS = {
  pause: { active: "paused", paused: "job_is_paused" },
  resume: { active: "job_is_not_paused", paused: "queued" },
  cancel: { active: "cancelled", paused: "cancelled" },
} as const;
const STATES: Record<JobStatus, "active" | "paused" | "ended"> = {
  queued: "active",
  validating_files: "active",
  running: "active",
  paused: "paused",
  succeeded: "ended",
  failed: "ended",
  cancelled: "ended",
};

for (const [action, outcomes] of Object.entries(ACTIONS)) {
  test(`${action} answers 200 where it changes a job, and 400 by the job's state where it does not`, async () => {
    for (const [status, kind] of Object.entries(STATES) as [JobStatus, "active" | "paused" | "ended"][]) {
      const id = await addJob(status, action);
      const expected: string = kind === "ended" ? "job_has_ended" : outcomes[kind];
      const { status: answered, body } = await server.post(`/v1/fine_tuning/jobs/${id}/${action}`, "");
      const told = body as { status?: string; error?: { code: string; message: string } };
      const isRefused = expected.startsWith("job_");
      assert.deepEqual(
        [answered, told.error?.code ?? told.status],
        [isRefused ? 400 : 200, expected],
        `${action} of one that is ${status}`,
      );
      if (isRefused) assert.match(told.error!.message, new RegExp(`"${id}" is ${status}`));
      assert.equal((await table.read(id))?.job.status, isRefused ? status : expected);
    }
  });
}
