/** @file `graft serve`: one base and any number of adapters behind an OpenAI-compatible interface. */
import { randomInt, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { join, resolve } from "node:path";
import type { NamedAdapter } from "../../engine/adapters/held-adapter.ts";
import { readAllNamed } from "../model/named-adapters.ts";
import { type ServingModel, openServingModel } from "../../engine/serving-model.ts";
import { findPolicy } from "../../engine/scheduling/turn-policies.ts";
import { UsageError, toldWhole } from "../../errors.ts";
import { openOwnJobs, openSharedJobs } from "../../jobs/database/open-jobs.ts";
import { JobQueue } from "../../jobs/queue/job-queue.ts";
import { systemClock } from "../../jobs/queue/system-clock.ts";
import { fingerprintOf } from "../../models/base/fingerprint.ts";
import { openState } from "../../jobs/store/open-state.ts";
import { AdapterRoot, requireRoot } from "../../server/adapter-root.ts";
import type { ReadKeys } from "../../server/access/api-keys.ts";
import { createApp } from "../../server/app.ts";
import { kebabCase } from "../../messages/setting-names.ts";
import { drain } from "../../server/listening/drain.ts";
import { type Listening, listen, requirePort } from "../../server/listening/listen.ts";
import { ServerMetrics } from "../../server/metrics/metrics.ts";
import { beginJobs } from "../../server/jobs/begin-jobs.ts";
import { openFineTuning } from "../../server/jobs/open-fine-tuning.ts";
import { ROUTES } from "../../server/routes.ts";
import type { FineTuning } from "../../server/fine-tuning.ts";
import { ServerState } from "../../server/server-state.ts";
import { readTls } from "../../server/listening/tls-files.ts";
import { loadReports } from "../../train/files/folder/report-modules.ts";
import { lockRun } from "../../train/files/folder/run-lock.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { findModel, servedName } from "../model/find-model.ts";
import { warn } from "../report.ts";
import { openOptions } from "../texts/generation.ts";
import { SERVE_GROUPS, SERVE_OPTIONS, type ServeOptions } from "../serving/serve-flags.ts";
import { keyReader, requireKey } from "../serving/server-keys.ts";
import { faultsTo, patienceOf, troublesTo } from "../serving/troubles.ts";

/** Largest seed drawn for a text whose request has none. */
const MAX_SEED = 2 ** 31;

export const command = defineCommand({
  example: "npx graft serve --adapter mine=runs/mine",
  positionals: [],
  options: SERVE_OPTIONS,
  groups: SERVE_GROUPS,
  async run(options, io, given) {
    const readKeys = keyReader(options, io.env);
    requireKey(options.host, await readKeys());
    requireState(options);
    refuseUnused(options, given);
    if (options.adapterRoot !== undefined) await requireRoot(options.adapterRoot);
    await requirePort(options);
    await readTls(options.tlsCert, options.tlsKey);
    // Absolute paths, so that errors show clients the names instead.
    const adapters = readAllNamed(options.adapter).map(({ name, path }) => ({ name, path: resolve(path) }));
    // With a database but no store, other processes use the state folder too.
    const isShared = options.database !== undefined && options.store === undefined;
    const own = isShared ? undefined : options.state;
    // Locked first, so that a second server on the folder is refused before it loads anything.
    const lock = own === undefined ? null : await lockRun(own, (note) => warn(note, io));
    try {
      const { name, path } = await findModel({ ...options, adapter: adapters[0]?.path }, io);
      const model = await openServingModel(path, {
        ...openOptions({ ...options, adapter: undefined }),
        name,
        headOf: adapters[0]?.path,
        trainCompute: options.trainCompute,
        cacheBytes: options.cacheMemory,
        maxRunning: options.maxBatch,
        maxLoaded: options.maxAdapters,
        updateBytes: options.updateMemory,
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
        if (model.classes !== null) refuseJobs(options);
        // Prepared now, so that the first concurrent texts need not wait.
        else if (options.maxBatch > 1) await model.engine.adapters.prepareMany();
        await serve(
          model,
          options.servedModelName ?? servedName({ name, path }),
          { ...options, adapters, readKeys },
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

/** The flags, with adapters and keys read from them. */
interface ServeSettings extends ServeOptions {
  readonly adapters: readonly NamedAdapter[];
  readonly readKeys: ReadKeys;
}

/** Serves an open model until it is stopped. */
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
      maxBodyBytes: options.maxBody,
      requestsPerMinute: options.rateLimit ?? null,
      maxTexts: options.maxBatch + options.maxWaiting,
      maxRequestTokens: options.maxRequestTokens ?? null,
      requestTimeoutMs: options.requestTimeout * 1000,
    },
    adapterRoot: options.adapterRoot === undefined ? null : new AdapterRoot(options.adapterRoot),
    now: Date.now,
    onError: faultsTo(io, Date.now),
    newId: () => randomUUID().replaceAll("-", ""),
    newSeed: () => randomInt(MAX_SEED),
  });
  for (const { name: adapter, path: folder } of adapters) await state.models.load(adapter, folder);
  let server: Listening | null = null;
  try {
    if (options.state !== undefined) state.fineTuning = await openJobs(state, options.state, options, io);
    const app = createApp(state, ROUTES, { readKeys, corsOrigins: options.cors });
    // Before listening, so that no client is told that a model trained by a job does not exist.
    const { begun } = await beginJobs(state, patienceOf(io));
    server = await listen(app, {
      ...options,
      readTls: () => readTls(options.tlsCert, options.tlsKey),
      onTrouble: (error) => warn(`the old certificate stays in use: ${toldWhole(error)}`, io),
      clientTimeoutMs: options.clientTimeout * 1000,
    });
    const { url } = server;
    io.emit({ event: "listening", url, model: state.name, adapters: adapters.map((each) => each.name) });
    tell(io, url, state, (await readKeys()) !== null);
    const stopped = io.signal.aborted ? null : once(io.signal, "abort");
    await Promise.race([stopped, begun.then(() => stopped)]);
  } finally {
    if (server) io.stderr("stopping: running requests may finish, new ones are refused");
    await drain(state, server, options.drainSeconds * 1000);
  }
  io.emit({ event: "stopped" });
}

/** Opens the jobs of a server that has a state folder. */
async function openJobs(
  state: ServerState,
  folder: string,
  { database, store, maxJobs, concurrentJobs, trainCompute, weights, chatTemplate }: ServeOptions,
  io: CommandIO,
): Promise<FineTuning> {
  const files = await openState({ folder, store, env: io.env, clock: systemClock });
  const fingerprint = await fingerprintOf(state.model.parts.base);
  // Loaded now, not when the first job ends: nothing is served while they are loaded.
  if (database === undefined) await loadReports();
  const own = join(folder, "db");
  // Announced because it takes long on a busy machine.
  if (database === undefined)
    io.stderr(`${existsSync(own) ? "opening" : "making"} the database of jobs in ${own}`);
  const table =
    database === undefined
      ? await openOwnJobs(own, patienceOf(io))
      : await openSharedJobs(database, patienceOf(io));
  const { newId } = state;
  return openFineTuning(state, {
    fingerprint,
    files,
    queue: new JobQueue({ table, maxWaiting: maxJobs, now: () => state.seconds(), newId }),
    held: { compute: trainCompute, weights, chatTemplate },
    maxRunning: concurrentJobs,
    trainsHere: database === undefined,
    clock: systemClock,
    env: io.env,
    troubles: troublesTo(io),
  });
}

/**
 * Requires --database for --store, and --state for --database: jobs in a database still need a folder.
 * @throws UsageError "usage/flag"
 */
function requireState({ database, state, store }: ServeOptions): void {
  if (store !== undefined && database === undefined) {
    throw new UsageError(
      "usage/flag",
      "Cannot use --store without --database: jobs would be kept in a folder",
      {
        hint: "Give --database URL as well.",
      },
    );
  }
  if (database === undefined || state !== undefined) return;
  throw new UsageError(
    "usage/flag",
    "Cannot use --database without --state: files and adapters need a folder",
    {
      hint: "Give --state FOLDER: workers share it as their --files; with --store it holds copies.",
    },
  );
}

/** Flags of jobs that are trained in this process. */
const OF_TRAINING = ["concurrentJobs", "policy", "coTraining"];
/** Flags of jobs, wherever they are trained: `trainCompute` serves to check jobs when they are created. */
const OF_JOBS = ["maxJobs", "trainCompute", ...OF_TRAINING];

/** Refuses flags of jobs on a server without jobs. @throws UsageError "usage/flag" */
function refuseUnused({ database, state }: ServeOptions, given: ReadonlySet<string>): void {
  const refuse = (keys: readonly string[], why: string, hint: string): void => {
    const key = keys.find((each) => given.has(each));
    if (key !== undefined)
      throw new UsageError("usage/flag", `Cannot use --${kebabCase(key)} ${why}`, { hint });
  };
  if (state === undefined) {
    refuse(
      OF_JOBS,
      "without --state: this server trains nothing",
      "Give --state FOLDER as well, or remove the flag.",
    );
  } else if (database !== undefined) {
    refuse(
      OF_TRAINING,
      "with --database: workers train the jobs, each of them one at a time",
      "Leave it out.",
    );
  }
}

/** Refuses jobs beside a model that does not write text, since they could not train it. @throws UsageError "usage/flag" */
function refuseJobs({ state }: ServeOptions): void {
  if (state === undefined) return;
  throw new UsageError(
    "usage/flag",
    "Cannot use --state with a classification model: jobs train models that generate text",
    {
      hint: "Leave --state out, and train with graft train.",
    },
  );
}

function tell(io: CommandIO, url: string, state: ServerState, asksForKey: boolean): void {
  const { name } = state;
  const others = state.models
    .list()
    .filter(({ path }) => path !== null)
    .map(({ id }) => id);
  io.stdout(`${name} is served at ${url}/v1${others.length > 0 ? `, with ${others.join(", ")}` : ""}`);
  const [path, asked] =
    state.model.classes === null
      ? ["/v1/chat/completions", { messages: [{ role: "user", content: "Hello" }] }]
      : ["/classify", { input: "Hello" }];
  const body = JSON.stringify({ model: others[0] ?? name, ...asked });
  const key = asksForKey ? " -H 'authorization: Bearer KEY'" : "";
  io.stdout(`try: curl ${url}${path}${key} -H 'content-type: application/json' -d '${body}'`);
}
