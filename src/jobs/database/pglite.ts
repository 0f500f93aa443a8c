/**
 * @file PostgreSQL inside of this process, in a folder: PGlite. It has one connection, and hands it out in turn. Where it dies
 * within a call, as by a fault of its log's disk, it is opened anew at the next: all that it had committed is there.
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

/** Status of what PostgreSQL's own errors throw: its library's POSTGRES_MAIN_LONGJMP. */
const MAIN_JUMP = 100;

/** Of its pages PostgreSQL holds 128 MB, all of which take memory from its start on; jobs are few, and the system holds their files as well. */
const BUFFERS = "shared_buffers=8MB";

/** The file by which PostgreSQL knows a folder as its own: without it, it would make an empty database over what there is. */
const MARK = "PG_VERSION";

/** The parts of the program in WebAssembly that its library calls for each message. */
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

/** A database that runs, until it has died. */
class Running {
  readonly #pglite: PGlite;
  /** The error that ended it; null: it is alive. */
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
   * Lets calls fail once the program has died. Of what it throws the library knows the jumps of PostgreSQL's own errors, and calls it
   * again after anything else: for ever, as the dead throws again.
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
    // The first that the library calls then, where nothing catches it.
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

  /** @throws FailedError "failed/database" where it dies of it, or has died */
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

/** Makes a database in an empty folder, on the thread of the caller. @throws FailedError "failed/database" */
export async function makeOnce(folder: string): Promise<void> {
  await (await Running.start(folder)).close();
}

/** @throws FormatError "format/file" for files that are no database, or not all of one */
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
 * Opens the database of a folder, which is made if need be, unless `signal` stops that, and must be no other process's.
 * @throws FailedError "failed/database" where its disk is full or fails; FormatError "format/file" for a folder that is damaged; the reason of `signal`
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
  /** One after another, so that one that has died is opened once. */
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
