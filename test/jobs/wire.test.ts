/** @file `--database URL` speaks PostgreSQL's protocol: workers are killed, two ask at a time, and connections are lost. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PGlite } from "@electric-sql/pglite";
import type { FailedError } from "../../src/errors.ts";
import { forbidTierUp } from "../../src/jobs/database/forbid-tier-up.ts";
import { openSharedJobs } from "../../src/jobs/database/open-jobs.ts";
import { openPostgres } from "../../src/jobs/database/postgres.ts";
import { JobQueue, type TakenJob } from "../../src/jobs/queue/job-queue.ts";
import { waitFor } from "../process/wait-for.ts";
import { checkShares, checkTable } from "./check-table.ts";
import { newJob } from "./new-job.ts";
import { patient } from "./patient.ts";
import { WireServer } from "./wire-server.ts";
import { toldBy } from "./told.ts";

forbidTierUp();
const pglite = await PGlite.create();
const server = new WireServer(pglite);
await server.start();
// Each as in a process of its own: with its own connections.
const tables = await Promise.all([
  openSharedJobs(server.url, patient()),
  openSharedJobs(server.url, patient()),
]);
let numIds = 0;
const [queue, other] = tables.map(
  (table) => new JobQueue({ table, maxWaiting: 100, now: () => 7, newId: () => `wire-${numIds++}` }),
) as [JobQueue, JobQueue];
after(async () => {
  for (const table of tables) await table.close();
  await server.stop();
  await pglite.close();
});

const submit = (id: string, base: string): Promise<boolean> =>
  queue.submit({ job: newJob(id), base, baseName: "tiny", initAdapter: null });

/** Asks until there is something to do. */
async function takeSoon(of: JobQueue, base: string): Promise<TakenJob> {
  for (;;) {
    const taken = await of.take(base, "two", 1e9);
    if (taken) return taken;
  }
}

/** What PostgreSQL answers who connects and is not let in. */
function refusalOf(code: string, why: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C${code}\0M${why}\0\0`);
  const refusal = Buffer.concat([Buffer.from("E\0\0\0\0"), fields]);
  refusal.writeInt32BE(4 + fields.length, 1);
  return refusal;
}

for (const [code, why, hint] of [
  ["28P01", 'password authentication failed for user "graft"', /PGPASSWORD/],
  ["3D000", 'database "graft" does not exist', /createdb/],
] as const)
  test(`a database that lets nobody in says why, and is not asked for more: ${code}`, async () => {
    const closed = createServer((socket) => socket.once("data", () => socket.end(refusalOf(code, why))));
    await once(closed.listen(0, "127.0.0.1"), "listening");
    const { port } = closed.address() as AddressInfo;
    await assert.rejects(openSharedJobs(`postgres://graft@127.0.0.1:${port}/graft`, patient()), {
      code: "failed/database",
      message: `Cannot reach the database: ${why}`,
      hint,
    });
    closed.close();
  });

test("a database that is starting is waited for, until one is told to stop", async () => {
  // More than one connection is tried for.
  let [numLeft, numAsked] = [6, 0];
  const starting = createServer((socket) => {
    numAsked++;
    if (numLeft-- > 0) {
      socket.once("data", () => socket.end(refusalOf("57P03", "the database system is starting up")));
      return;
    }
    const { port } = new URL(server.url);
    socket.pipe(connect(Number(port), "127.0.0.1")).pipe(socket);
  });
  await once(starting.listen(0, "127.0.0.1"), "listening");
  const { port } = starting.address() as AddressInfo;
  const url = `postgres://graft@127.0.0.1:${port}/graft`;
  const told: unknown[] = [];
  const table = await openSharedJobs(url, { ...patient(), onAway: (error) => told.push(error) });
  const [away, ...others] = told as FailedError[];
  assert.deepEqual(
    [away?.message, away?.hint, others],
    ["Cannot reach the database: the database system is starting up", "Wait until it has started.", []],
  );
  assert.equal(await table.read("none"), null);
  await table.close();
  assert.ok(numAsked > 6, `${numAsked} connections`);

  numLeft = Infinity;
  const stop = new AbortController();
  const waiting = openSharedJobs(url, { ...patient(), signal: stop.signal });
  const before = numAsked;
  await waitFor(() => numAsked > before + 5);
  stop.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  starting.close();
});

test("a table behind the protocol does what every table does", async () => {
  const [table] = tables;
  await checkTable(table);
  await checkShares(table);
});

test("two that ask at a time never have one job", async () => {
  const ids = Array.from({ length: 8 }, (_, i) => `ftjob-of-two-${i}`);
  for (const id of ids) await submit(id, "two");
  const takeAll = async (of: JobQueue, owner: string): Promise<string[]> => {
    const taken = await Promise.all(ids.map(() => of.take("two", owner, 1e9)));
    return taken.flatMap((each) => each?.row.job.id ?? []);
  };
  const [mine, theirs] = await Promise.all([takeAll(queue, "one"), takeAll(other, "another")]);
  // Who asks while a row is locked may find none.
  const left = await takeAll(queue, "one");
  const all = [...mine, ...theirs, ...left];
  assert.deepEqual(all.toSorted(), ids);
  for (const id of ids) assert.equal((await other.table.read(id))?.token, 1);
});

test("the job of a worker that is killed in a transaction is taken over, and hears no more of it", async () => {
  await submit("ftjob-of-dying", "dying");
  const program = fileURLToPath(new URL("dying-worker.ts", import.meta.url));
  const worker = spawn(process.execPath, [program, server.url, "dying"], { stdio: "inherit" });
  const [, signal] = (await once(worker, "exit")) as [number | null, string | null];
  assert.equal(signal, "SIGKILL");
  const before = await other.table.read("ftjob-of-dying");
  assert.deepEqual([before?.owner, before?.token], ["dying", 1]);
  const taken = await takeSoon(queue, "dying");
  assert.deepEqual([taken.row.token, taken.isFromLost], [2, true]);
  assert.equal(await other.changeOwn(before!, { status: "succeeded" }, []), null);
  assert.ok(await queue.changeOwn(taken.row, { status: "succeeded" }, []));
  assert.equal((await other.table.read("ftjob-of-dying"))?.job.status, "succeeded");
});

test("a database that goes away and comes back is asked again: nothing is lost, and nothing happens twice", async () => {
  await submit("ftjob-of-lost", "lost");
  const { row } = await takeSoon(queue, "lost");
  await server.stop();
  const telling = queue.eventOf({ message: "while it was away" });
  const kept = queue.keep(row, 1e9, 1, [telling]);
  const [refused] = (await once(
    connect(new URL(server.url).port as unknown as number, "127.0.0.1"),
    "error",
  )) as [Error];
  assert.match(refused.message, /ECONNREFUSED/);
  await server.start();
  assert.equal(await kept, "held");
  const told = await toldBy(other.table, "ftjob-of-lost");
  assert.equal(told.filter(({ message }) => message === telling.message).length, 1);
  assert.ok(await queue.changeOwn(row, { status: "succeeded" }, []));
});

test("a database that may only be read, as one that follows another may, is one that is away", async () => {
  const database = openPostgres(server.url);
  await database.query("set default_transaction_read_only = on");
  await assert.rejects(
    database.transaction((connection) => connection.query("delete from graft.jobs where id = ''")),
    { code: "failed/database", message: /^Cannot reach the database: .* read-only transaction$/ },
  );
  await database.query("reset default_transaction_read_only");
  await database.close();
});
