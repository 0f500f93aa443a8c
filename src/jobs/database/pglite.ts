/** @file PostgreSQL inside of this process, in a folder: PGlite. It has one connection, and hands it out in turn. */
import { mkdir } from "node:fs/promises";
import { PGlite } from "@electric-sql/pglite";
import type { Connection, Database } from "./database.ts";
import { requireRoom, toDiskFault } from "./disk-faults.ts";

type Querying = Pick<PGlite, "query">;

function connectionOf(querying: Querying): Connection {
  return {
    query: async <R>(text: string, values: readonly unknown[] = []) =>
      (await querying.query<R>(text, [...values])).rows,
  };
}

/**
 * Opens the database of a folder, which is made if need be and must be no other process's.
 * @throws FailedError "failed/database" where its disk is full or fails
 */
export async function openPglite(folder: string): Promise<Database> {
  await mkdir(folder, { recursive: true });
  await requireRoom(folder);
  const pglite = await PGlite.create(folder).catch((error: unknown) => {
    throw toDiskFault(error);
  });
  return {
    ...connectionOf(pglite),
    transaction: async (work) => {
      await requireRoom(folder);
      return await pglite.transaction((transaction) => work(connectionOf(transaction)));
    },
    close: () => pglite.close(),
  };
}
