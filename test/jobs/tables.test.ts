/** @file Every kind of table keeps jobs alike: PGlite, PostgreSQL where GRAFT_TEST_DATABASE is its URL, and that of the tests. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { openPglite } from "../../src/jobs/database/pglite.ts";
import { openPostgres } from "../../src/jobs/database/postgres.ts";
import { prepareTables } from "../../src/jobs/database/schema.ts";
import { SqlJobs } from "../../src/jobs/database/sql-jobs.ts";
import type { Database } from "../../src/jobs/database/database.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { checkBases, checkShares, checkTable, checkTexts } from "./check-table.ts";
import { MemoryJobs } from "./memory-jobs.ts";

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
