/** @file How many jobs can a database hand out, and how many workers can it keep? */
import { join } from "node:path";
import type { Database } from "../src/jobs/database/database.ts";
import { openPglite } from "../src/jobs/database/pglite.ts";
import { openPostgres } from "../src/jobs/database/postgres.ts";
import { prepareTables } from "../src/jobs/database/schema.ts";
import { SqlJobs } from "../src/jobs/database/sql-jobs.ts";
import { JobQueue } from "../src/jobs/queue/job-queue.ts";
import { newJob } from "../test/jobs/new-job.ts";
import { defineBenchmark } from "./bench.ts";

const LEASE_MS = 30_000;

interface Measured {
  readonly openMs: number;
  readonly againMs: number;
  readonly submitMs: number;
  readonly takeMs: number;
  readonly beatMs: number;
  /** Heartbeats per second with that many callers. */
  readonly beatsPerSecond: number;
}

async function measure(open: () => Promise<Database>, numJobs: number, callers: number): Promise<Measured> {
  const began = performance.now();
  const first = await open();
  await first.query("drop schema if exists graft cascade");
  await prepareTables(first);
  const openMs = performance.now() - began;
  await first.close();
  const again = performance.now();
  const database = await open();
  await prepareTables(database);
  const againMs = performance.now() - again;
  try {
    let numIds = 0;
    const table = new SqlJobs(database);
    const queue = new JobQueue({ table, maxWaiting: numJobs, now: () => 0, newId: () => `${numIds++}` });
    const each = async (work: (i: number) => Promise<unknown>): Promise<number> => {
      const startMs = performance.now();
      for (let i = 0; i < numJobs; i++) await work(i);
      return (performance.now() - startMs) / numJobs;
    };
    const submitMs = await each((i) =>
      queue.submit({ job: newJob(`ftjob-${i}`), base: "a", baseName: "tiny", initAdapter: null }),
    );
    const taken: NonNullable<Awaited<ReturnType<typeof queue.take>>>[] = [];
    const takeMs = await each(async () => {
      const one = await queue.take("a", "w", LEASE_MS);
      if (one) taken.push(one);
    });
    const beat = (i: number): Promise<unknown> => {
      const one = taken[i % taken.length];
      return one
        ? queue.keep(one.row, LEASE_MS, i, [queue.eventOf({ message: "Step", data: { step: i } })])
        : Promise.resolve();
    };
    const beatMs = await each(beat);
    const startMs = performance.now();
    await Promise.all(
      Array.from({ length: callers }, (_, caller) => each((i) => beat(i * callers + caller))),
    );
    const beatsPerSecond = (1000 * callers * numJobs) / (performance.now() - startMs);
    return { openMs, againMs, submitMs, takeMs, beatMs, beatsPerSecond };
  } finally {
    await database.close();
  }
}

export const benchmark = defineBenchmark({
  question: "How many jobs can a database hand out, and how many workers can it keep?",
  flags: {
    database: {
      value: "",
      help: "URL of a PostgreSQL whose schema graft may be removed; none: PGlite alone",
    },
    jobs: { value: 300, help: "jobs that wait" },
    callers: { value: 8, help: "workers that tell of themselves at a time" },
  },
  async run({ database, jobs, callers }, { scratch }) {
    const kinds = {
      pglite: () => openPglite(join(scratch, "db")),
      ...(database === "" ? {} : { postgresql: async () => openPostgres(database) }),
    };
    const results: Record<string, Record<string, number>> = {};
    for (const [kind, open] of Object.entries(kinds)) {
      const measured = Object.entries(await measure(open, jobs, callers));
      results[kind] = Object.fromEntries(measured.map(([key, value]) => [key, Math.round(value * 10) / 10]));
    }
    const keys = Object.keys(results["pglite"] ?? {});
    return {
      parameters: { jobs, callers, postgresql: database !== "" },
      table: {
        head: ["", ...Object.keys(results)],
        rows: keys.map((key) => [key, ...Object.values(results).map((of) => String(of[key]))]),
      },
      results,
    };
  },
});
