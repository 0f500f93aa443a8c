/** @file `graft worker`: trains jobs on this machine, for servers that share a database and a folder. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { makeSampleWriter } from "../../engine/sample-writer.ts";
import { openTextParts } from "../../engine/open-text-model.ts";
import { UsageError } from "../../errors.ts";
import { openSharedJobs } from "../../jobs/database/open-jobs.ts";
import { disk, tryRemove } from "../../format/files/disk/calls.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import { sweepTemporaries, temporaryName } from "../../format/files/disk/temporaries.ts";
import { JobQueue, type TakenJob } from "../../jobs/queue/job-queue.ts";
import { JobWorker } from "../../jobs/queue/job-worker.ts";
import type { Lease } from "../../jobs/queue/lease.ts";
import { type TrainingPlaces, placesFor } from "../../jobs/training/places.ts";
import type { StateFolder } from "../../jobs/state-folder.ts";
import { openState, untilAnswered } from "../../jobs/store/open-state.ts";
import { systemClock } from "../../jobs/queue/system-clock.ts";
import { trainJob } from "../../jobs/training/train-job.ts";
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { fingerprintOf } from "../../models/base/fingerprint.ts";
import { resultName } from "../../server/jobs/result-names.ts";
import { ONE_LINE_NAME } from "../../server/one-line-name.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { type FoundModel, findModel, servedName } from "../model/find-model.ts";
import { MODEL_FLAGS, modelFlag } from "../model/model-flags.ts";
import { warn } from "../report.ts";
import { patienceOf, troublesTo } from "../serving/troubles.ts";
import { DATABASE, STORE } from "../serving/serve-flags.ts";
import { PATH } from "../../messages/paths.ts";

const { adapter: _, ...MODEL } = { ...MODEL_FLAGS, model: modelFlag(DEFAULT_MODEL) };
/** Time between two looks for a job. */
const POLL_MS = 1000;
const nowSeconds = (): number => Math.floor(Date.now() / 1000);
const newId = (): string => randomUUID().replaceAll("-", "");

const OPTIONS = z.strictObject({
  ...MODEL,
  servedModelName: ONE_LINE_NAME.optional().describe("Display name of the base; default: that of the model"),
  database: DATABASE.describe("URL of the PostgreSQL database of the servers"),
  files: PATH.optional().describe(
    "The servers' --state folder, shared with this machine; required unless --store is given",
  ),
  store: STORE,
  leaseSeconds: z
    .number()
    .min(1)
    .default(30)
    .describe("Seconds without a sign of life after which another worker takes over a job"),
});

export const command = defineCommand({
  example: "npx graft worker --database postgres://graft@db/graft --files /srv/graft",
  positionals: [],
  options: OPTIONS,
  groups: {
    model: [...Object.keys(MODEL), "servedModelName"],
    jobs: ["database", "files", "store", "leaseSeconds"],
  },
  async run(options, io) {
    requireFiles(options);
    // First, so that a wrong database or store is reported before a model is fetched.
    const patience = patienceOf(io);
    const table = await openSharedJobs(options.database, patience);
    let copies: string | null = null;
    try {
      // With a store, this process has its own copies: other processes may have other runs of the same job.
      if (options.store !== undefined) copies = await makeCopies(options.files ?? tmpdir());
      const folder = copies ?? options.files ?? "";
      const files = await openState({ folder, store: options.store, env: io.env, clock: systemClock });
      await untilAnswered(files, patience);
      const found = await findModel(options, io);
      const { fingerprint, places } = await placesOf(found, options);
      const name = options.servedModelName ?? servedName(found);
      const queue = new JobQueue({ table, maxWaiting: 0, now: nowSeconds, newId });
      const worker = new JobWorker({
        queue,
        base: fingerprint,
        owner: `${hostname()}/${process.pid}`,
        clock: systemClock,
        leaseMs: options.leaseSeconds * 1000,
        pollMs: POLL_MS,
        onIdle: misfitTeller(queue, { name, fingerprint }, io),
        ...troublesTo(io),
        isReady: () => files.requireFiles(),
        work: (taken, lease) => work(taken, lease, { files, places }, io),
      });
      io.emit({ event: "waiting", base: name, fingerprint });
      io.stdout(`Waiting for jobs on ${name}`);
      worker.start();
      if (!io.signal.aborted) await once(io.signal, "abort");
      await worker.close();
    } finally {
      if (copies !== null) await tryRemove(copies);
      await table.close();
    }
  },
});

/** The base of all jobs, and its fingerprint. */
async function placesOf(
  { name, path }: FoundModel,
  { chatTemplate, compute, weights, threads, base: kind }: z.output<typeof OPTIONS>,
): Promise<{ fingerprint: string; places: TrainingPlaces }> {
  const { base, checkpoint } = await openTextParts(path, { name, chatTemplate, base: kind });
  const fingerprint = await fingerprintOf(base);
  await checkpoint.close();
  const held = { compute, weights, chatTemplate, threads, base: kind };
  return { fingerprint, places: { model: checkpoint.path, width: base.model.width, ...held } };
}

/** Runs a job, and reports its start and end. */
async function work(
  taken: TakenJob,
  lease: Lease,
  { files, places }: { readonly files: StateFolder; readonly places: TrainingPlaces },
  io: CommandIO,
): Promise<void> {
  const { id } = taken.row.job;
  const share = taken.row.share === null ? null : taken.row.share + 1;
  const piece = share === null ? id : `${id}, share ${share} of round ${taken.row.round + 1}`;
  io.emit({ event: "job", id, share, lease: taken.row.token, from_lost: taken.isFromLost });
  io.stdout(`Training ${piece}`);
  await trainJob(taken, lease, {
    files,
    placesOf: (row) => placesFor(row, files, places),
    share: null,
    nameOf: resultName,
    now: nowSeconds,
    env: io.env,
    makeSampleWriter,
    troubles: troublesTo(io),
  });
  const { status } = lease.row.job;
  io.emit({ event: "left", id, share, status });
  io.stdout(share === null ? `${id} is ${status}` : `Left ${piece}: the job is ${status}`);
}

/** Makes a folder for this process alone, and removes those of killed workers. */
async function makeCopies(parent: string): Promise<string> {
  await makeFolders(parent);
  await sweepTemporaries(parent);
  const path = temporaryName(join(parent, "worker"));
  await disk().mkdir(path, { mode: 0o700 });
  return path;
}

/** Returns a function that reports, once each, the jobs whose base has this worker's model name but differs. */
function misfitTeller(
  queue: JobQueue,
  { name, fingerprint }: { readonly name: string; readonly fingerprint: string },
  io: CommandIO,
): () => Promise<void> {
  const told = new Set<string>();
  return async () => {
    for (const row of await queue.misfits(fingerprint, name)) {
      const { id } = row.job;
      if (told.has(id)) continue;
      told.add(id);
      const found = `it is for a base "${row.baseName}" with fingerprint ${row.base}`;
      warn(`Cannot train ${id}: ${found}, expected that of this worker's "${name}", ${fingerprint}`, io);
    }
  };
}

/** @throws UsageError "usage/flag" */
function requireFiles({ files, store }: z.output<typeof OPTIONS>): void {
  if (files !== undefined || store !== undefined) return;
  throw new UsageError(
    "usage/flag",
    "Cannot start a worker: neither --files nor --store is given, expected one of them",
    {
      hint: "Give the servers' --state folder as --files, or their store as --store.",
    },
  );
}
