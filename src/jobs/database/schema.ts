/** @file The tables and their version. A database with tables of another version is refused and left unchanged. */
import { FailedError, UsageError } from "../../errors.ts";
import type { Connection, Database } from "./database.ts";

/** Increased with every change of the tables. */
const VERSION = 2;
/**
 * Number of the lock for making the tables, so that processes that start together take turns. Any number that others do not use.
 */
const MAKING = 7_265_386_112;

const TABLES = [
  "create schema graft",
  "create table graft.version (version integer not null)",
  `create table graft.jobs (
    place bigserial primary key,
    id text unique not null,
    base text not null,
    status text not null,
    lease_until_ms double precision,
    content jsonb not null
  )`,
  "create index on graft.jobs (base, place) where status in ('queued', 'validating_files', 'running')",
  `create table graft.events (
    place bigserial primary key,
    id text unique not null,
    job text not null,
    content jsonb not null
  )`,
  "create index on graft.events (job, place)",
];

/**
 * Makes the tables unless they exist. @throws UsageError "usage/database" for those of another version; FailedError
 * "failed/database"
 */
export async function prepareTables(database: Database): Promise<void> {
  try {
    await database.transaction(async (connection) => {
      await connection.query("select pg_advisory_xact_lock($1)", [MAKING]);
      if (await hasTables(connection)) return;
      for (const statement of TABLES) await connection.query(statement);
      await connection.query("insert into graft.version values ($1)", [VERSION]);
    });
  } catch (error) {
    if (error instanceof FailedError) throw error;
    throw new FailedError("failed/database", `Cannot create tables in the database: ${String(error)}`, {
      hint: "Give a database whose user may create a schema.",
      cause: error,
    });
  }
  const versions = await database.query<{ version: number }>("select version from graft.version");
  const version = versions[0]?.version;
  if (versions.length === 1 && version === VERSION) return;
  const found = versions.length === 1 ? `its tables are of version ${version}` : "it says no version";
  throw new UsageError(
    "usage/database",
    `Cannot use the database: ${found}, expected version ${VERSION} of the tables`,
    { hint: "Use another database, or the version of graft that created it." },
  );
}

async function hasTables(connection: Connection): Promise<boolean> {
  const [found] = await connection.query<{ there: boolean }>(
    "select to_regclass('graft.version') is not null as there",
  );
  return found?.there === true;
}
