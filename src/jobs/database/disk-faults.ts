/** @file What a database says when its disk is full or fails, in the words of our messages. */
import { FailedError } from "../../errors.ts";
import type { Database } from "./database.ts";

/** Classes of PostgreSQL's codes: too little room, and faults of the system. */
const OF_THE_DISK = /^(53|58)/;
/** What PostgreSQL in WebAssembly throws of files when it does not go on: no Error, but a number of WASI's. */
const [FILE_FAULT, NO_SPACE] = ["ErrnoError", 51];

/** Turns a fault of the disk into a FailedError; other errors pass as they are. */
export function toDiskFault(error: unknown): unknown {
  const { code, name, errno, message } = (error ?? {}) as Readonly<Record<string, unknown>>;
  const isOfFiles = name === FILE_FAULT;
  if (!isOfFiles && !(typeof code === "string" && OF_THE_DISK.test(code))) return error;
  const ofFiles = errno === NO_SPACE ? "no space left on device" : `error ${String(errno)} of a file`;
  const found = isOfFiles ? ofFiles : String(message);
  return new FailedError("failed/database", `Cannot write to the database: ${found}, expected room for it`, {
    hint: "Free some space on the disk on which it lies, then try again.",
    cause: error,
  });
}

/** The same database, whose calls fail with FailedError "failed/database" where its disk is full or fails. */
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
