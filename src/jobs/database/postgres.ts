/**
 * @file PostgreSQL by its URL. A lost connection is replaced, and its work is tried again for a while.
 *
 * If only the answer to a commit was lost, the work is done twice. No job is added or ended twice because of this. But a job that
 * was taken has no worker until its lease ends, which then counts as a lost worker; and a client that cancels, pauses or resumes
 * a job is told that the job was in this state before.
 */
import { setTimeout } from "node:timers/promises";
import { type ClientBase, Pool } from "pg";
import { FailedError } from "../../errors.ts";
import type { Connection, Database } from "./database.ts";

/** Waits between tries, in milliseconds. */
const WAITS_MS = [50, 200, 800];
const CONNECT_MS = 5000;
const STATEMENT_MS = 10_000;
/**
 * Codes of Node and of PostgreSQL that do not concern the statement: connections, shutting down, too many clients, a standby,
 * locks.
 */
const LOST = /^(E[A-Z]+|08.{3}|57014|57P0[1-5]|53300|25006|55P03|40001|40P01)$/;
/** The code of PostgreSQL while it starts, stops or recovers. */
const STARTING = "57P03";
const HINTS: ReadonlyMap<unknown, string> = new Map([
  [STARTING, "Wait until it has started."],
  ["3D000", "Create it, for example with createdb, or name another in --database."],
]);
const UNREACHABLE_HINT =
  "Check that it is running, that --database is its URL, and that the URL or PGPASSWORD has its password.";
const LOST_MESSAGE = /connection (terminated|ended)|timeout|not queryable/i;

function isLost(error: unknown): boolean {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (error instanceof AggregateError) return error.errors.some(isLost);
  return (typeof code === "string" && LOST.test(code)) || LOST_MESSAGE.test(String(message));
}

/** Whether an error means that there is a database, but it is still starting. */
export function isStarting(error: unknown): boolean {
  const { cause } = error as { readonly cause?: { readonly code?: unknown } };
  return error instanceof FailedError && cause?.code === STARTING;
}

function connectionOf(client: ClientBase): Connection {
  return {
    query: async <R>(text: string, values: readonly unknown[] = []) =>
      (await client.query(text, [...values])).rows as R[],
  };
}

/** Connects at the first call. @throws FailedError "failed/database" from every call, when nothing answers */
export function openPostgres(url: string): Database {
  const pool = new Pool({
    connectionString: url,
    max: 8,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: STATEMENT_MS,
    idle_in_transaction_session_timeout: STATEMENT_MS,
    application_name: "graft",
  });
  // Idle connections may fail too; the next query that needs one reports it.
  pool.on("error", () => {});
  const use = <T>(work: (connection: Connection) => Promise<T>): Promise<T> =>
    retried(() => withConnection(pool, work));
  return {
    query: (text, values) => use((connection) => connection.query(text, values)),
    transaction: (work) => use((connection) => transact(connection, work)),
    close: () => pool.end(),
  };
}

/** Repeats work for a while if its connection was lost. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let at = 0; ; at++) {
    try {
      return await work();
    } catch (error) {
      if (!isLost(error)) throw error;
      const waitMs = WAITS_MS[at];
      if (waitMs === undefined) throw unreachable(error);
      await setTimeout(waitMs);
    }
  }
}

/** Runs work on a connection of the pool, which drops the connection if it is lost. */
async function withConnection<T>(pool: Pool, work: (connection: Connection) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw isLost(error) ? error : unreachable(error);
  });
  let isBroken = true;
  client.on("error", ignore);
  try {
    const result = await work(connectionOf(client));
    isBroken = false;
    return result;
  } catch (error) {
    isBroken = isLost(error);
    throw error;
  } finally {
    client.off("error", ignore);
    client.release(isBroken);
  }
}

async function transact<T>(connection: Connection, work: (connection: Connection) => Promise<T>): Promise<T> {
  await connection.query("begin");
  try {
    const result = await work(connection);
    await connection.query("commit");
    return result;
  } catch (error) {
    await connection.query("rollback").catch(ignore);
    throw error;
  }
}

function ignore(): void {}

function unreachable(error: unknown): FailedError {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const found = first instanceof Error ? first.message : String(first);
  const { code } = first as { readonly code?: unknown };
  return new FailedError("failed/database", `Cannot reach the database: ${found}`, {
    hint: HINTS.get(code) ?? UNREACHABLE_HINT,
    cause: error,
  });
}
