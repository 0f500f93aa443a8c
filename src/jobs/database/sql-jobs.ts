/**
 * @file The table of jobs in PostgreSQL. A row is locked while it is decided about; queries for the next job skip rows that
 * others have locked (SKIP LOCKED), so that any number of workers can ask at the same time.
 */
import { z } from "zod";
import { FailedError } from "../../errors.ts";
import { findProblems, listProblems } from "../../messages/problems.ts";
import { basePattern } from "../../models/base/fingerprint.ts";
import { ENDED, JOB_EVENT, type JobEvent, type JobStatus } from "../job.ts";
import {
  type DecideOnRow,
  type EventPart,
  JOB_ROW,
  type JobPart,
  type JobRow,
  type JobTable,
  type RowDecision,
  TO_DO,
} from "../job-table.ts";
import { heldUntilMs } from "../queue/shares.ts";
import type { Connection, Database } from "./database.ts";
import { fromJsonb, toJsonb } from "./json-text.ts";

/** Number of the lock for adding a job, so that the limit of waiting jobs is kept. */
const ADDING = 7_265_386_113;
/** The database's current time, not that of the transaction's start. */
const NOW = "(extract(epoch from clock_timestamp()) * 1000)::float8";

/** Rows in the table describe whole jobs, never shares. */
const ROW = JOB_ROW.extend({ share: z.null() });

function quoted(statuses: Iterable<JobStatus>): string {
  return Array.from(statuses, (status) => `'${status}'`).join(", ");
}

interface Found {
  readonly content: unknown;
}

interface FoundRow extends Found {
  readonly id: string;
  readonly place: string;
  readonly now_ms: number;
}

/** Selected columns of a row. */
const PARTS = `id, place, content, ${NOW} as now_ms`;

export class SqlJobs implements JobTable {
  readonly #database: Database;
  readonly #onUnreadable: (error: FailedError) => void;
  /** Ids of jobs already reported as unreadable. */
  readonly #unreadable = new Set<string>();

  /** `onUnreadable`: called once for each job that cannot be read, with FailedError "failed/database". */
  constructor(database: Database, onUnreadable: (error: FailedError) => void = () => {}) {
    this.#database = database;
    this.#onUnreadable = onUnreadable;
  }

  insert(row: JobRow, events: readonly JobEvent[], maxWaiting: number): Promise<boolean> {
    return this.#database.transaction(async (connection) => {
      await connection.query("select pg_advisory_xact_lock($1)", [ADDING]);
      const [is] = await connection.query("select 1 from graft.jobs where id = $1", [row.job.id]);
      if (is) return true;
      const [waiting] = await connection.query<{ count: number }>(
        "select count(*)::int as count from graft.jobs where status = 'queued' and id <> all($1::text[])",
        [[...this.#unreadable]],
      );
      if ((waiting?.count ?? 0) >= maxWaiting) return false;
      await connection.query(
        "insert into graft.jobs (id, base, status, lease_until_ms, content) values ($1, $2, $3, $4, $5)",
        [row.job.id, row.base, row.job.status, heldUntilMs(row), written(row)],
      );
      await addEvents(connection, row.job.id, events);
      return true;
    });
  }

  withJob<T>(id: string, decide: DecideOnRow<T>): Promise<T | null> {
    return this.#database.transaction(async (connection) => {
      const [found] = await connection.query<FoundRow>(
        `select ${PARTS} from graft.jobs where id = $1 for update`,
        [id],
      );
      const row = found && this.#read(found);
      return row ? await decideOn(connection, row, decide(row, found.now_ms)) : null;
    });
  }

  withNext<T>(base: string, decide: DecideOnRow<T>): Promise<T | null> {
    const free = `base ~ $1 and status in (${quoted(TO_DO)}) and (lease_until_ms is null or lease_until_ms < ${NOW})`;
    const next = `select ${PARTS} from graft.jobs where ${free} and place > $2 order by place limit 1 for update skip locked`;
    return this.#database.transaction(async (connection) => {
      for (let last = "0"; ;) {
        const [found] = await connection.query<FoundRow>(next, [basePattern(base), last]);
        if (!found) return null;
        const row = this.#read(found);
        if (row) return await decideOn(connection, row, decide(row, found.now_ms));
        last = found.place;
      }
    });
  }

  /** Returns null for a row that cannot be read. */
  #read({ id, content }: Pick<FoundRow, "id" | "content">): JobRow | null {
    const values = fromJsonb(content);
    const row = ROW.safeParse(values);
    if (row.success) return row.data;
    if (this.#unreadable.has(id)) return null;
    this.#unreadable.add(id);
    const found = listProblems(findProblems(ROW, values)).join("; ");
    this.#onUnreadable(
      new FailedError("failed/database", `Cannot read job "${id}" in the database: ${found}`, {
        hint: "It is skipped; check whether another version of graft made it.",
      }),
    );
    return null;
  }

  async read(id: string): Promise<JobRow | null> {
    const [found] = await this.#database.query<FoundRow>("select id, content from graft.jobs where id = $1", [
      id,
    ]);
    return found ? this.#read(found) : null;
  }

  async list({ statuses, baseName, idStart = "" }: JobPart = {}): Promise<JobRow[]> {
    const isMeant = statuses ? `status in (${quoted(statuses)})` : "true";
    const found = await this.#database.query<FoundRow>(
      `select id, content from graft.jobs
        where ${isMeant} and starts_with(id, $1) and ($2::jsonb is null or content -> 'baseName' = $2)
        order by place`,
      [idStart, baseName === undefined ? null : toJsonb(baseName)],
    );
    return found.flatMap((each) => this.#read(each) ?? []);
  }

  async listEnded(): Promise<ReadonlyMap<string, number>> {
    const found = await this.#database.query<{ id: string; removals: number }>(
      `select id, coalesce((content -> 'removals')::int, 0) as removals from graft.jobs
        where status in (${quoted(ENDED)}) order by place`,
    );
    return new Map(found.map(({ id, removals }) => [id, removals]));
  }

  async listEvents(id: string, { after, limit }: EventPart = {}): Promise<JobEvent[] | null> {
    const [from] =
      after === undefined
        ? [{ place: null }]
        : await this.#database.query<{ place: string }>(
            "select place from graft.events where job = $1 and id = $2",
            [id, after],
          );
    if (!from) return null;
    const found = await this.#database.query<Found>(
      `select content from graft.events where job = $1 and ($2::bigint is null or place < $2)
        order by place desc limit $3`,
      [id, from.place, limit ?? null],
    );
    return found.map(({ content }) => JOB_EVENT.parse(fromJsonb(content)));
  }

  async listEventsOf(id: string, steps: readonly number[]): Promise<JobEvent[]> {
    const found = await this.#database.query<Found>(
      "select content from graft.events where job = $1 and content -> 'data' ->> 'step' = any($2::text[]) order by place",
      [id, steps.map(String)],
    );
    return found.map(({ content }) => JOB_EVENT.parse(fromJsonb(content)));
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

async function decideOn<T>(
  connection: Connection,
  before: JobRow,
  { row, events = [], result }: RowDecision<T>,
): Promise<T> {
  if (row) {
    await connection.query(
      "update graft.jobs set status = $2, lease_until_ms = $3, content = $4 where id = $1",
      [row.job.id, row.job.status, heldUntilMs(row), written(row)],
    );
  }
  await addEvents(connection, before.job.id, events);
  return result;
}

/** A row as it is stored. Checked first: JSON has no Infinity, so a row with it could not be read again. @throws ZodError */
function written(row: JobRow): string {
  return toJsonb(ROW.parse(row));
}

async function addEvents(connection: Connection, job: string, events: readonly JobEvent[]): Promise<void> {
  if (events.length === 0) return;
  await connection.query(
    `insert into graft.events (id, job, content)
      select event ->> 'id', $1, event from jsonb_array_elements($2::jsonb) with ordinality as e (event, nth)
      order by nth on conflict (id) do nothing`,
    [job, toJsonb(events)],
  );
}
