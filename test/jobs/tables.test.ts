/** @file Every kind of table keeps jobs alike: PGlite, PostgreSQL where GRAFT_TEST_DATABASE is its URL, and that of the tests. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { openPglite } from "../../src/jobs/database/pglite.ts";
import { openPostgres } from "../../src/jobs/database/postgres.ts";
import { prepareTables } from "../../src/jobs/database/schema.ts";
import { SqlJobs } from "../../src/jobs/database/sql-jobs.ts";
import type { Database } from "../../src/jobs/database/database.ts";
import type { Job } from "../../src/jobs/job.ts";
import { JobQueue } from "../../src/jobs/queue/job-queue.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { checkBases, checkList, checkShares, checkTable, checkTexts } from "./check-table.ts";
import { MemoryJobs } from "./memory-jobs.ts";
import { newJob } from "./new-job.ts";

const URL = process.env["GRAFT_TEST_DATABASE"];
const folder = temporaryFolder();

/** A database with no tables. */
async function empty(database: Database): Promise<Database> {
  await database.query("drop schema if exists graft cascade");
  return database;
}

const DATABASES = [
  { name: "PGlite", open: () => openPglite(join(folder, "db")), skip: false },
  {
    name: "PostgreSQL",
    open: async () => await empty(openPostgres(URL ?? "")),
    skip: URL === undefined && "GRAFT_TEST_DATABASE is not set",
  },
];

test("the table of the tests", async () => {
  await checkTable(new MemoryJobs());
  await checkShares(new MemoryJobs());
  await checkTexts(new MemoryJobs());
  await checkBases(new MemoryJobs());
  await checkList(new MemoryJobs());
});

for (const { name, open, skip } of DATABASES) {
  describe(name, { skip }, () => {
    let database: Database;
    after(async () => {
      await database.close();
    });

    test("keeps jobs, hands each to one worker, and hears of it from nobody else", async () => {
      database = await open();
      await Promise.all([prepareTables(database), prepareTables(database)]);
      await checkTable(new SqlJobs(database));
      await checkShares(new SqlJobs(database));
      await checkTexts(new SqlJobs(database));
      await checkBases(new SqlJobs(database));
      await checkList(new SqlJobs(database));
    });

    test("who asks for jobs that wait for another base of its name reads none that have ended", async () => {
      let numRead = 0;
      const query: Database["query"] = async <R>(...given: Parameters<Database["query"]>) => {
        const rows = await database.query<R>(...given);
        numRead += rows.length;
        return rows;
      };
      const add = { base: "new", baseName: "namesake", initAdapter: null };
      const queue = new JobQueue({
        table: new SqlJobs({ ...database, query, transaction: database.transaction.bind(database) }),
        maxWaiting: 99,
        now: () => 7,
        newId: randomUUID,
      });
      for (const id of ["ftjob-ended", "ftjob-waits"]) await queue.submit({ job: newJob(id), ...add });
      await queue.cancel("ftjob-ended");
      assert.deepEqual(
        (await queue.misfits("old", "namesake")).map(({ job }) => job.id),
        ["ftjob-waits"],
      );
      assert.equal(numRead, 1);
    });

    test("what cannot be read of a job is told once, and keeps nobody from the others", async () => {
      const told: unknown[] = [];
      const table = new SqlJobs(database, (error) => told.push(error));
      const queue = new JobQueue({ table, maxWaiting: 99, now: () => 7, newId: randomUUID });
      for (const id of ["ftjob-odd", "ftjob-other"])
        await queue.submit({ job: newJob(id), base: "odd", baseName: "tiny", initAdapter: null });
      const odd = "jsonb_set(content, '{job,hyperparameters,beta}', 'null')";
      await database.query(`update graft.jobs set content = ${odd} where id = 'ftjob-odd'`);
      const listed = (await table.list()).map(({ job }) => job.id);
      assert.deepEqual([listed.includes("ftjob-odd"), listed.includes("ftjob-other")], [false, true]);
      assert.equal(await table.read("ftjob-odd"), null);
      assert.equal(await queue.cancel("ftjob-odd"), null);
      assert.equal((await queue.take("odd", "one", 1e9))?.row.job.id, "ftjob-other");
      assert.equal(await queue.take("odd", "one", 1e9), null);
      await queue.takeBackAll();
      assert.equal((await table.read("ftjob-other"))?.job.status, "queued");
      assert.match(
        told.map(String).join("\n"),
        /^FailedError: Cannot read job "ftjob-odd" in the database: job\.hyperparameters\.beta is null, expected [^\n]*$/,
      );
    });

    test("what could not be read again is not written", async () => {
      const table = new SqlJobs(database);
      const queue = new JobQueue({ table, maxWaiting: 99, now: () => 7, newId: randomUUID });
      const beta = Infinity;
      const used = { n_epochs: 1, batch_size: 1, learning_rate_multiplier: 1 };
      const submit = (job: Job): Promise<boolean> =>
        queue.submit({ job, base: "endless", baseName: "tiny", initAdapter: null });
      await assert.rejects(submit(newJob("ftjob-endless", { used: { ...used, beta } })), /beta/);
      await submit(newJob("ftjob-ends", { used: { ...used, beta: 0, learning_rate_multiplier: 0 } }));
      const taken = await queue.take("endless", "one", 1e9);
      assert.equal(taken?.row.job.used?.beta, 0);
      await assert.rejects(queue.changeOwn(taken.row, { used: { ...used, beta } }, []), /beta/);
      assert.equal((await table.read("ftjob-ends"))?.job.used?.beta, 0);
    });

    test("of another version is refused", async () => {
      await database.query("update graft.version set version = 99");
      await assert.rejects(prepareTables(database), { code: "usage/database", message: /version 99/ });
    });

    test("a transaction that fails leaves nothing", async () => {
      await assert.rejects(
        database.transaction(async (connection) => {
          await connection.query("update graft.version set version = 1");
          await connection.query("select 1 / 0");
        }),
        /zero/,
      );
      assert.deepEqual(await database.query("select version from graft.version"), [{ version: 99 }]);
    });
  });
}

test("a database that nothing answers for is an error that says so", async () => {
  const database = openPostgres("postgres://nobody@127.0.0.1:1/none");
  await assert.rejects(prepareTables(database), { code: "failed/database", message: /ECONNREFUSED/ });
  await database.close();
});
