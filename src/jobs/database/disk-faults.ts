/**
 * @file Checks that the disk of a database has room, and converts the error of a database whose disk is full or fails into one of
 * graft's errors.
 */
import { FailedError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { formatBytes } from "../../messages/numbers.ts";
import type { Database } from "./database.ts";

/** Classes of PostgreSQL's error codes: insufficient resources, and system errors. */
const OF_THE_DISK = /^(53|58)/;
/** What PostgreSQL in WebAssembly throws when a file fails: not an Error, but an object with an errno of WASI. */
const [FILE_FAULT, NO_SPACE] = ["ErrnoError", 51];

/** PostgreSQL begins a log of 16 MB now and then; without room for it, PostgreSQL in WebAssembly loops for ever. */
const ROOM_BYTES = 2 ** 25;

function refusal(found: string, expected: string, cause?: unknown): FailedError {
  return new FailedError("failed/database", `Cannot write to the database: ${found}, expected ${expected}`, {
    hint: "Free some space on its disk, then try again.",
    cause,
  });
}

/** Checks that a folder's disk has enough free space for one more write. @throws FailedError "failed/database" */
export async function requireRoom(folder: string, statDisk: typeof readDisk = readDisk): Promise<void> {
  const { bavail, bsize } = await statDisk(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= ROOM_BYTES) return;
  throw refusal(`its disk has ${formatBytes(freeBytes)} free`, `at least ${formatBytes(ROOM_BYTES)}`);
}

function readDisk(folder: string): Promise<{ readonly bavail: number; readonly bsize: number }> {
  return disk().statfs(folder);
}

/** Converts a fault of the disk into a FailedError; returns other errors unchanged. */
export function toDiskFault(error: unknown): unknown {
  const { code, name, errno, message } = (error ?? {}) as Readonly<Record<string, unknown>>;
  const isOfFiles = name === FILE_FAULT;
  if (!isOfFiles && !(typeof code === "string" && OF_THE_DISK.test(code))) return error;
  const ofFiles = errno === NO_SPACE ? "no space left on device" : `error ${String(errno)} of a file`;
  const found = isOfFiles ? ofFiles : String(message);
  return refusal(found, "space for it", error);
}

/** Wraps a database so that its calls fail with FailedError "failed/database" when its disk is full or fails. */
export function tellingDiskFaults(database: Database): Database {
  const told = (error: unknown): never => {
    throw toDiskFault(error);
  };
  return {
    query: (text, values) => database.query<never>(text, values).catch(told),
    transaction: (work) => database.transaction(work).catch(told),
    close: () => database.close(),
  };
}
