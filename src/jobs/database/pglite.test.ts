/** @file A database whose program dies within a call says so, once, and goes on with what it had kept. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { after, test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { waitFor } from "../../../test/process/wait-for.ts";
import { temporaryFolder } from "../../../test/tiny/model.ts";
import type { FailedError } from "../../errors.ts";
import { makeOnce, openPglite } from "./pglite.ts";

const { openSync, writeSync } = fs;
const logs = new Set<number>();
let isFaulty = false;

/** A disk that takes nothing more of the database's log, when it is faulty. */
fs.openSync = (path, ...more) => {
  const file = openSync(path, ...more);
  if (String(path).includes("pg_wal")) logs.add(file);
  else logs.delete(file);
  return file;
};
fs.writeSync = ((file: number, ...more: [Uint8Array]) => {
  if (!isFaulty || !logs.has(file)) return writeSync(file, ...more);
  throw Object.assign(new Error("made up"), { code: "EIO", errno: -5, syscall: "write" });
}) as typeof writeSync;
syncBuiltinESMExports();
after(() => {
  Object.assign(fs, { openSync, writeSync });
  syncBuiltinESMExports();
});

/** A database that one test makes and another uses, which would make it. */
const made = join(temporaryFolder(), "db");

/** Waits until files of a database are made beside its folder, whose name is "db". */
async function untilMade(state: string): Promise<void> {
  const isBegun = (name: string): boolean =>
    name.startsWith(".db.graft-") && fs.existsSync(join(state, name, "global"));
  await waitFor(() => fs.readdirSync(state).some(isBegun));
}

test("a database that is stopped while it is made leaves nothing", async () => {
  const state = temporaryFolder();
  const folder = join(state, "db");
  const reason = new Error("stopped");
  const stop = new AbortController();
  const making = openPglite(folder, stop.signal);
  await untilMade(state);
  // The caller's thread is free meanwhile.
  stop.abort(reason);
  await assert.rejects(making, reason);
  assert.deepEqual([fs.readdirSync(state), fs.readdirSync(folder)], [["db"], []]);
});

test("a database whose process is killed while it is made is made by the next start, though what was begun goes on", async () => {
  const state = temporaryFolder();
  const folder = join(state, "db");
  const source = `await (await import(${JSON.stringify(import.meta.resolve("./pglite.ts"))})).openPglite(${JSON.stringify(folder)})`;
  const killed = spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: "ignore" });
  const ended = once(killed, "exit");
  await untilMade(state);
  killed.kill("SIGKILL");
  await ended;
  const database = await openPglite(folder);
  assert.deepEqual(await database.query("select 1 as one"), [{ one: 1 }]);
  assert.deepEqual(fs.readdirSync(state), ["db"]);
  await database.close();
});

test("a database that computes for seconds is not compiled anew meanwhile, which takes 600 MB", async () => {
  await makeOnce(made);
  assert.ok(getHeapStatistics().peak_malloced_memory < 100e6);
});

test("a database takes a few megabytes for its pages, where PostgreSQL would take 128", async () => {
  const database = await openPglite(made);
  assert.deepEqual(await database.query("show shared_buffers"), [{ shared_buffers: "8MB" }]);
  await database.close();
});

test("a log that cannot be written ends the database within a transaction, and not the process", async () => {
  const database = await openPglite(made);
  const add = (text: string): Promise<void> =>
    database.transaction(async (connection) => {
      await connection.query("insert into texts values ($1)", [text]);
    });
  const read = async (): Promise<unknown[]> =>
    (await database.query<{ text: string }>("select text from texts order by text")).map(({ text }) => text);
  const assertEnded = async (calls: readonly Promise<unknown>[]): Promise<void> => {
    for (const result of await Promise.allSettled(calls)) {
      assert.ok(result.status === "rejected");
      const { code, message } = result.reason as FailedError;
      assert.equal(code, "failed/database");
      assert.match(message, /it ended by itself .*Aborted/);
    }
  };
  await database.query("create table texts (text text)");
  await add("a");
  isFaulty = true;
  await assertEnded([add("b"), add("c")]);
  // Neither can it be opened anew.
  await assertEnded([add("d"), read()]);
  isFaulty = false;
  await add("e");
  assert.deepEqual(await read(), ["a", "e"]);
  await assert.rejects(database.query("select * from nothing"), { code: "42P01" });
  await database.close();
  const next = await openPglite(made);
  assert.deepEqual(await next.query("select count(*)::int from texts"), [{ count: 2 }]);
  await next.close();
});

test("a folder with files of a database, but not the one that says that it is one, is left as it is", async () => {
  const folder = join(temporaryFolder(), "db");
  fs.cpSync(made, folder, { recursive: true });
  fs.rmSync(join(folder, "PG_VERSION"));
  const names = fs.readdirSync(folder);
  await assert.rejects(openPglite(folder), {
    code: "format/file",
    message:
      /^Cannot open the database in ".*": it has files but no PG_VERSION, expected a whole database or nothing$/,
  });
  assert.deepEqual(fs.readdirSync(folder), names);
  fs.copyFileSync(join(made, "PG_VERSION"), join(folder, "PG_VERSION"));
  const database = await openPglite(folder);
  assert.deepEqual(await database.query("select count(*)::int from texts"), [{ count: 2 }]);
  await database.close();
});
