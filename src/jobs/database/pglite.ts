/**
 * @file PostgreSQL inside this process, with its files in a folder: PGlite. It has one connection, which is shared in turn. If it
 * dies during a call, for instance by a fault of its disk, the next call opens it again; all that it had committed is kept.
 */
import { PGlite } from "@electric-sql/pglite";
import { FailedError, FormatError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import type { Connection, Database } from "./database.ts";
import { requireRoom, toDiskFault } from "./disk-faults.ts";
import { forbidTierUp } from "./forbid-tier-up.ts";
import { makeFiles } from "./make-files.ts";

type Querying = Pick<PGlite, "query">;

/** Status of what PostgreSQL's own errors throw: POSTGRES_MAIN_LONGJMP in its library. */
const MAIN_JUMP = 100;

/** PostgreSQL's default of 128 MB would be allocated at the start. Jobs are few, and the system caches their files anyway. */
const BUFFERS = "shared_buffers=8MB";

/** The file by which PostgreSQL recognizes its folder: without it, PostgreSQL would make an empty database over existing files. */
const MARK = "PG_VERSION";

/** The functions of the WebAssembly program that the library calls for each message. */
type Program = Record<
  "_PostgresMainLoopOnce" | "_PostgresSendReadyForQueryIfNecessary" | "_pgl_pq_flush" | "stackRestore",
  (...args: unknown[]) => unknown
>;

function connectionOf(querying: Querying): Connection {
  return {
    query: async <R>(text: string, values: readonly unknown[] = []) =>
      (await querying.query<R>(text, [...values])).rows,
  };
}

/** A running database, until it dies. */
class Running {
  readonly #pglite: PGlite;
  /** The error that it died of; null: it is alive. */
  #fault: unknown = null;

  private constructor(pglite: PGlite) {
    this.#pglite = pglite;
    this.#watch(pglite.Module as unknown as Program);
  }

  /** @throws FailedError "failed/database" */
  static async start(folder: string): Promise<Running> {
    forbidTierUp();
    const startParams = [...PGlite.defaultStartParams, "-c", BUFFERS];
    const pglite = await PGlite.create(folder, { startParams }).catch((error: unknown) => {
      throw toDeath(error);
    });
    return new Running(pglite);
  }

  /**
   * Makes calls fail once the program has died. Of the errors that the program throws, the library handles only those for
   * PostgreSQL's own errors. After any other it would call the dead program again, for ever.
   */
  #watch(program: Program): void {
    const { _PostgresMainLoopOnce: work, stackRestore: unwind } = program;
    program._PostgresMainLoopOnce = () => {
      if (this.#fault !== null) throw this.#fault;
      try {
        return work();
      } catch (error) {
        const isJump = (error as { status?: unknown } | null)?.status === MAIN_JUMP;
        if (!isJump) this.#fault = toDeath(error);
        throw error;
      }
    };
    // The function that the library calls first after that; an error of it is not caught.
    program.stackRestore = (...args) => {
      if (this.#fault !== null) throw this.#fault;
      return unwind(...args);
    };
    for (const name of ["_PostgresSendReadyForQueryIfNecessary", "_pgl_pq_flush"] as const) {
      const call = program[name];
      program[name] = () => (this.#fault === null ? call() : undefined);
    }
  }

  get hasDied(): boolean {
    return this.#fault !== null;
  }

  /** @throws FailedError "failed/database" if the database dies during the work, or has died before */
  async use<T>(work: (pglite: PGlite) => Promise<T>): Promise<T> {
    try {
      return await work(this.#pglite);
    } catch (error) {
      throw this.#fault ?? error;
    }
  }

  async close(): Promise<void> {
    if (this.#fault === null) await this.#pglite.close();
  }
}

function toDeath(error: unknown): unknown {
  const ofDisk = toDiskFault(error);
  if (ofDisk !== error) return ofDisk;
  const found = error instanceof Error ? error.message : String(error);
  return new FailedError(
    "failed/database",
    `Cannot run the database: it ended by itself (${found}), expected an answer`,
    {
      hint: "Try again: it is reopened, with everything it had stored. If this happens again, check its disk.",
      cause: error,
    },
  );
}

/** Makes a database in an empty folder, on the caller's thread. @throws FailedError "failed/database" */
export async function makeOnce(folder: string): Promise<void> {
  await (await Running.start(folder)).close();
}

/** @throws FormatError "format/file" for files that are not a complete database */
function requireDatabase(folder: string, names: readonly string[]): void {
  if (names.includes(MARK)) return;
  throw new FormatError(
    "format/file",
    `Cannot open the database in "${folder}": it has files but no ${MARK}, expected a whole database or nothing`,
    {
      hint: "Restore the folder from a copy; or move it away to start with a new one, without its jobs.",
    },
  );
}

/**
 * Opens the database of a folder, and makes it first if the folder is empty, unless `signal` aborts. No other process may use it.
 * @throws FailedError "failed/database" when its disk is full or fails; FormatError "format/file" for a damaged folder; the
 * reason of `signal`
 */
export async function openPglite(folder: string, signal?: AbortSignal): Promise<Database> {
  await makeFolders(folder);
  await requireRoom(folder);
  const names = await disk().readdir(folder);
  if (names.length === 0) await makeFiles(folder, signal);
  else requireDatabase(folder, names);
  signal?.throwIfAborted();
  const start = (): Promise<Running> => Running.start(folder);
  let running = start();
  await running;
  /** Calls wait for each other, so that a dead database is reopened only once. */
  const living = (): Promise<Running> => {
    running = running.then((last) => (last.hasDied ? start() : last), start);
    return running;
  };
  return {
    query: async (text, values) =>
      await (await living()).use((pglite) => connectionOf(pglite).query<never>(text, values)),
    transaction: async (work) => {
      await requireRoom(folder);
      const own = await living();
      return await own.use((pglite) => pglite.transaction((transaction) => work(connectionOf(transaction))));
    },
    close: async () => await (await running).close(),
  };
}
