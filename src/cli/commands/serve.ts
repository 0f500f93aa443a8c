/** @file `graft serve`: one base and any number of adapters behind an OpenAI-compatible interface. */
import { randomInt, randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import type { z } from "zod";
import type { Environment } from "../../environment.ts";
import type { NamedAdapter } from "../../engine/adapters/held-adapter.ts";
import { readNamed } from "../model/named-adapters.ts";
import { type ServingModel, openServingModel } from "../../engine/serving-model.ts";
import { findPolicy } from "../../engine/scheduling/turn-policies.ts";
import { GraftError, UsageError } from "../../errors.ts";
import { openOwnJobs, openSharedJobs } from "../../jobs/database/open-jobs.ts";
import { JobQueue } from "../../jobs/queue/job-queue.ts";
import { systemClock } from "../../jobs/queue/system-clock.ts";
import { fingerprintOf } from "../../models/base/fingerprint.ts";
import { openState } from "../../jobs/store/open-state.ts";
import { AdapterRoot, requireRoot } from "../../server/adapter-root.ts";
import { type ApiKey, type ReadKeys, adminKeys } from "../../server/access/api-keys.ts";
import { createApp } from "../../server/app.ts";
import { parseByteSize } from "../../messages/byte-size.ts";
import { KeyFile } from "../../server/access/key-file.ts";
import { type Listening, listen, requirePort } from "../../server/listening/listen.ts";
import { ServerMetrics } from "../../server/metrics/metrics.ts";
import { openFineTuning } from "../../server/jobs/open-fine-tuning.ts";
import { ROUTES } from "../../server/routes.ts";
import { ServerState } from "../../server/server-state.ts";
import { type TlsFiles, readTls } from "../../server/listening/tls-files.ts";
import { lockRun } from "../../train/files/folder/run-lock.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { findModel, servedName } from "../model/find-model.ts";
import { warn } from "../report.ts";
import { openOptions } from "../texts/generation.ts";
import { SERVE_GROUPS, SERVE_OPTIONS } from "../serving/serve-flags.ts";
import { troublesTo } from "../serving/troubles.ts";

/** Largest seed of a text whose request has none. */
const MAX_SEED = 2 ** 31;
/** For telling requests that are cut off why. */
const LAST_WORDS_MS = 1000;
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

export const command = defineCommand({
  example: "npx graft serve --adapter mine=runs/mine",
  positionals: [],
  options: SERVE_OPTIONS,
  groups: SERVE_GROUPS,
  async run(options, io) {
    const readKeys = keysOf(options, io.env);
    requireKey(options.host, await readKeys());
    requireState(options);
    if (options.adapterRoot !== undefined) await requireRoot(options.adapterRoot);
    await requirePort(options);
    const tls = await readTls(options.tlsCert, options.tlsKey);
    const adapters = options.adapter.map(readNamed);
    // Others have the folder too where it is neither the database's nor that of copies.
    const isShared = options.database !== undefined && options.store === undefined;
    const own = isShared ? undefined : options.state;
    // First, so that a second server on the folder is told before it loads anything.
    const lock = own === undefined ? null : await lockRun(own, (note) => warn(note, io));
    try {
      const { name, path } = await findModel({ ...options, adapter: adapters[0]?.path }, io);
      const model = await openServingModel(path, {
        ...openOptions({ ...options, adapter: undefined }),
        name,
        trainCompute: options.trainCompute,
        cacheBytes: parseByteSize(options.cacheMemory ?? "") ?? undefined,
        maxRunning: options.maxBatch,
        maxLoaded: options.maxAdapters,
        updateBytes: parseByteSize(options.updateMemory) ?? 0,
        onNote: (note) => warn(note, io),
        policy: findPolicy(options.policy),
        coTraining: options.coTraining,
        targets: {
          queueMs: options.targetQueueMs,
          firstTokenMs: options.targetFirstTokenMs,
          tokenMs: options.targetTokenMs,
        },
      });
      try {
        // So that the first texts at once wait for nothing.
        if (options.maxBatch > 1) await model.engine.adapters.prepareMany();
        await serve(
          model,
          options.servedModelName ?? servedName({ name, path }),
          { ...options, adapters, readKeys, tls },
          io,
        );
      } finally {
        await model.close();
      }
    } finally {
      await lock?.release();
    }
  },
});

/** Flags with what was made of them. */
interface ServeSettings extends z.output<typeof SERVE_OPTIONS> {
  readonly adapters: readonly NamedAdapter[];
  readonly readKeys: ReadKeys;
  readonly tls: TlsFiles | null;
}

/** Serves an open model until it is told to stop. */
async function serve(
  model: ServingModel,
  name: string,
  { adapters, readKeys, ...options }: ServeSettings,
  io: CommandIO,
): Promise<void> {
  const state = new ServerState({
    model,
    name,
    metrics: new ServerMetrics(name),
    limits: {
      maxBodyBytes: parseByteSize(options.maxBody) ?? 0,
      requestsPerMinute: options.rateLimit ?? null,
      maxTexts: options.maxBatch + options.maxWaiting,
      maxRequestTokens: options.maxRequestTokens ?? null,
      requestTimeoutMs: options.requestTimeout * 1000,
    },
    adapterRoot: options.adapterRoot === undefined ? null : new AdapterRoot(options.adapterRoot),
    now: Date.now,
    onError: (error) => warn(describeFault(error), io),
    newId: () => randomUUID().replaceAll("-", ""),
    newSeed: () => randomInt(MAX_SEED),
  });
  for (const { name: adapter, path: folder } of adapters) await state.load(adapter, folder);
  if (options.state !== undefined) {
    const { weights, chatTemplate, database, store, state: folder } = options;
    const files = await openState({ folder, store, env: io.env, clock: systemClock });
    const table =
      database === undefined ? await openOwnJobs(join(options.state, "db")) : await openSharedJobs(database);
    const { newId } = state;
    const queue = new JobQueue({ table, maxWaiting: options.maxJobs, now: () => state.seconds(), newId });
    state.fineTuning = openFineTuning(state, {
      fingerprint: await fingerprintOf(model.parts.base),
      files,
      queue,
      maxRunning: options.concurrentJobs,
      trainsHere: database === undefined,
      compute: options.trainCompute,
      weights,
      chatTemplate,
      clock: systemClock,
      env: io.env,
      ...troublesTo(io),
    });
  }
  const app = createApp(state, ROUTES, {
    readKeys,
    corsOrigins: options.cors,
  });
  let server: Listening | null = null;
  try {
    // First, so that nobody hears that what a job has trained does not exist.
    await state.fineTuning?.start();
    server = await listen(app, { ...options, clientTimeoutMs: options.clientTimeout * 1000 });
    const { url } = server;
    io.emit({ event: "listening", url, model: state.name, adapters: adapters.map((each) => each.name) });
    tell(io, url, state, (await readKeys()) !== null);
    if (!io.signal.aborted) await once(io.signal, "abort");
  } finally {
    state.isDraining = true;
    if (server) io.stderr("stopping: texts in work may go on, new requests are refused");
    const graceMs = options.drainSeconds * 1000;
    const timer = setTimeout(() => state.end(), graceMs);
    await Promise.all([server?.stop(graceMs + LAST_WORDS_MS), state.fineTuning?.close()]);
    clearTimeout(timer);
  }
  io.emit({ event: "stopped" });
}

/** What an operator is told of an error that is no client's fault: where it comes from, or why, where graft raised it. */
function describeFault(error: unknown): string {
  if (error instanceof GraftError) {
    const { cause } = error;
    return cause instanceof Error ? `${error.message}: ${cause.message}` : error.message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Keys in the environment, separated by commas. */
function listedKeys(env: Environment): string[] {
  return (env["GRAFT_API_KEY"] ?? "").split(",").filter((key) => key !== "");
}

/** Keys of flags or environment, and of the state folder; null at a time when there are neither. */
function keysOf({ apiKey, state }: z.output<typeof SERVE_OPTIONS>, env: Environment): ReadKeys {
  const given = adminKeys(apiKey.length > 0 ? apiKey : listedKeys(env));
  const file = state === undefined ? null : new KeyFile(state);
  return async () => {
    const kept = (await file?.read()) ?? null;
    return given.length === 0 ? kept : [...given, ...(kept ?? [])];
  };
}

/** Jobs in a database still need a folder for their files. @throws UsageError "usage/flag" */
function requireState({ database, state, store }: z.output<typeof SERVE_OPTIONS>): void {
  if (store !== undefined && database === undefined) {
    throw new UsageError("usage/flag", "Cannot use --store without --database: jobs would be in a folder", {
      hint: "Give --database URL as well.",
    });
  }
  if (database === undefined || state !== undefined) return;
  throw new UsageError(
    "usage/flag",
    "Cannot use --database without --state: files and adapters need a folder",
    {
      hint: "Give --state FOLDER, which workers share as their --files, or which is for copies with --store.",
    },
  );
}

/** Without a key whoever reaches the port may use it. @throws UsageError "usage/flag" */
function requireKey(host: string, keys: readonly ApiKey[] | null): void {
  if ((keys !== null && keys.length > 0) || LOOPBACK.has(host)) return;
  throw new UsageError("usage/flag", `Cannot listen on ${host} without an API key: everybody could call`, {
    hint: "Make a key with graft keys add, give --api-key, or listen on 127.0.0.1.",
  });
}

function tell(io: CommandIO, url: string, state: ServerState, asksForKey: boolean): void {
  const { name } = state;
  const others = state
    .list()
    .filter(({ path }) => path !== null)
    .map(({ id }) => id);
  io.stdout(`${name} is served at ${url}/v1${others.length > 0 ? `, with ${others.join(", ")}` : ""}`);
  const body = JSON.stringify({ model: others[0] ?? name, messages: [{ role: "user", content: "Hello" }] });
  const key = asksForKey ? " -H 'authorization: Bearer KEY'" : "";
  io.stdout(`try: curl ${url}/v1/chat/completions${key} -H 'content-type: application/json' -d '${body}'`);
}
