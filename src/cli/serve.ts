/** @file `graft serve`: one base and any number of adapters behind an OpenAI-compatible interface. */
import { randomInt, randomUUID } from "node:crypto";
import { once } from "node:events";
import { basename, resolve } from "node:path";
import { z } from "zod";
import type { NamedAdapter } from "../engine/adapter-pool.ts";
import { type ServingModel, openServingModel } from "../engine/serving-model.ts";
import { DEFAULT_TARGETS } from "../engine/service-targets.ts";
import { DEFAULT_POLICY, TURN_POLICIES, findPolicy } from "../engine/turn-policies.ts";
import { UsageError } from "../errors.ts";
import { StateFolder } from "../jobs/state-folder.ts";
import { adaptersUnder } from "../server/adapter-root.ts";
import { type ApiKey, type ReadKeys, adminKeys } from "../server/api-keys.ts";
import { createApp } from "../server/app.ts";
import { KeyFile } from "../server/key-file.ts";
import { listen } from "../server/listen.ts";
import { ServerMetrics } from "../server/metrics.ts";
import { openFineTuning } from "../server/open-fine-tuning.ts";
import { ROUTES } from "../server/routes.ts";
import { ServerState } from "../server/server-state.ts";
import { lockRun } from "../train/files/run-lock.ts";
import { type CommandIO, defineCommand } from "./command.ts";
import { findModel } from "./find-model.ts";
import { MODEL_FLAGS, openOptions, warn } from "./generation.ts";

const MEGABYTE = 1e6;
/** Largest seed of a text whose request has none. */
const MAX_SEED = 2 ** 31;
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);
const { adapter: _, ...MODEL } = MODEL_FLAGS;

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

const OPTIONS = z.strictObject({
  ...MODEL,
  adapter: z
    .array(z.string())
    .default([])
    .describe("Adapters to serve, each NAME=FOLDER or a folder, whose name it then has"),
  adapterRoot: z.string().optional().describe("Folder from which clients may load more adapters"),
  servedModelName: z.string().optional().describe("Name of the base for clients; default: that of the model"),
  cacheMegabytes: z.int().positive().default(512).describe("Memory for keys and values, in megabytes"),
  maxBatch: z.int().positive().default(16).describe("Texts that are written at a time; the others wait"),
  state: z
    .string()
    .optional()
    .describe("Folder for uploaded files and fine-tuning jobs; without it nothing is trained"),
  policy: z
    .enum(TURN_POLICIES.map(({ name }) => name))
    .default(DEFAULT_POLICY)
    .describe(
      `How trainings share the machine with texts: ${TURN_POLICIES.map(({ name, summary }) => `${name}: ${lowerFirst(summary)}`).join("; ")}`,
    ),
  targetQueueMs: z
    .number()
    .positive()
    .default(DEFAULT_TARGETS.queueMs)
    .describe("Longest wait of a text for its first step beside a training, in milliseconds"),
  targetFirstTokenMs: z
    .number()
    .positive()
    .default(DEFAULT_TARGETS.firstTokenMs)
    .describe("Longest time from a request to its first token, in milliseconds"),
  targetTokenMs: z
    .number()
    .positive()
    .default(DEFAULT_TARGETS.tokenMs)
    .describe("Longest time from one token to the next, on average over a text, in milliseconds"),
  maxAdapters: z
    .int()
    .positive()
    .default(16)
    .describe("Adapters that stay in memory although nobody uses them"),
  host: z.string().default("127.0.0.1").describe("Address to listen on"),
  port: z.int().min(0).max(65_535).default(8080).describe("Port to listen on; 0: any that is free"),
  apiKey: z
    .array(z.string().min(8))
    .default([])
    .describe(
      "Keys that may do everything, beside those of graft keys; default: GRAFT_API_KEY. With any key, clients must send one",
    ),
  cors: z.array(z.string()).default([]).describe("Origins of web pages that may call; *: all"),
  maxBodyMegabytes: z.number().positive().default(16).describe("Largest request, in megabytes"),
  drainSeconds: z
    .number()
    .min(0)
    .default(30)
    .describe("How long texts may go on when the server is told to stop"),
});

export const command = defineCommand({
  example: "npx graft serve --adapter mine=runs/mine",
  positionals: [],
  options: OPTIONS,
  groups: {
    model: [...Object.keys(MODEL), "adapter", "adapterRoot", "servedModelName"],
    engine: ["cacheMegabytes", "maxBatch", "maxAdapters"],
    training: ["state", "policy", "targetQueueMs", "targetFirstTokenMs", "targetTokenMs"],
    server: ["host", "port", "apiKey", "cors", "maxBodyMegabytes", "drainSeconds"],
  },
  async run(options, io) {
    const readKeys = keysOf(options, io.env);
    requireKey(options.host, await readKeys());
    const adapters = options.adapter.map(readNamed);
    // First, so that a second server on the folder is told before it loads anything.
    const lock = options.state === undefined ? null : await lockRun(options.state, (note) => warn(note, io));
    try {
      const { name, path } = await findModel({ ...options, adapter: adapters[0]?.path }, io);
      const model = await openServingModel(path, {
        ...openOptions({ ...options, adapter: undefined }),
        name,
        cacheBytes: options.cacheMegabytes * MEGABYTE,
        maxRunning: options.maxBatch,
        maxLoaded: options.maxAdapters,
        policy: findPolicy(options.policy),
        targets: {
          queueMs: options.targetQueueMs,
          firstTokenMs: options.targetFirstTokenMs,
          tokenMs: options.targetTokenMs,
        },
      });
      try {
        await serve(
          model,
          options.servedModelName ?? nameOf(name, path),
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

/** Flags with what was made of them. */
interface ServeSettings extends z.output<typeof OPTIONS> {
  readonly adapters: readonly NamedAdapter[];
  readonly readKeys: ReadKeys;
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
    metrics: new ServerMetrics(),
    findAdapter: options.adapterRoot === undefined ? null : adaptersUnder(options.adapterRoot),
    now: Date.now,
    newId: () => randomUUID().replaceAll("-", ""),
    newSeed: () => randomInt(MAX_SEED),
  });
  for (const { name: adapter, path: folder } of adapters) await state.load(adapter, folder);
  if (options.state !== undefined) {
    const { compute, weights, chatTemplate } = options;
    const store = new StateFolder(options.state);
    state.fineTuning = openFineTuning(state, { store, compute, weights, chatTemplate, env: io.env });
  }
  const app = createApp(state, ROUTES, {
    readKeys,
    corsOrigins: options.cors,
    maxBodyBytes: options.maxBodyMegabytes * MEGABYTE,
    onError: (error) => warn(error instanceof Error ? (error.stack ?? error.message) : String(error), io),
  });
  const { url, stop } = await listen(app, options);
  io.emit({ event: "listening", url, model: state.name, adapters: adapters.map((each) => each.name) });
  tell(io, url, state);
  try {
    await state.fineTuning?.runner.start();
    if (!io.signal.aborted) await once(io.signal, "abort");
  } finally {
    state.isDraining = true;
    io.stderr("stopping: texts in work may go on, new requests are refused");
    await Promise.all([stop(options.drainSeconds * 1000), state.fineTuning?.runner.close()]);
  }
  io.emit({ event: "stopped" });
}

/** `NAME=FOLDER`, or a folder that gives the name. */
function readNamed(text: string): NamedAdapter {
  const place = text.indexOf("=");
  if (place > 0) return { name: text.slice(0, place), path: text.slice(place + 1) };
  return { name: basename(resolve(text)), path: text };
}

/** Of a model that was named by its path, the last part of it. */
function nameOf(name: string, path: string): string {
  return name === path ? basename(resolve(path)).replace(/\.gguf$/, "") : name;
}

/** Keys in the environment, separated by commas. */
function listedKeys(env: NodeJS.ProcessEnv): string[] {
  return (env["GRAFT_API_KEY"] ?? "").split(",").filter((key) => key !== "");
}

/** Keys of flags or environment, and of the state folder; null at a time when there are neither. */
function keysOf({ apiKey, state }: z.output<typeof OPTIONS>, env: NodeJS.ProcessEnv): ReadKeys {
  const given = adminKeys(apiKey.length > 0 ? apiKey : listedKeys(env));
  const file = state === undefined ? null : new KeyFile(state);
  return async () => {
    const kept = (await file?.read()) ?? null;
    return given.length === 0 ? kept : [...given, ...(kept ?? [])];
  };
}

/** Without a key whoever reaches the port may use it. @throws UsageError "usage/flag" */
function requireKey(host: string, keys: readonly ApiKey[] | null): void {
  if ((keys !== null && keys.length > 0) || LOOPBACK.has(host)) return;
  throw new UsageError("usage/flag", `Cannot listen on ${host} without an API key: everybody could call`, {
    hint: "Make a key with graft keys add, give --api-key, or listen on 127.0.0.1.",
  });
}

function tell(io: CommandIO, url: string, state: ServerState): void {
  const { name } = state;
  const others = state
    .list()
    .filter(({ path }) => path !== null)
    .map(({ id }) => id);
  io.stdout(`${name} is served at ${url}/v1${others.length > 0 ? `, with ${others.join(", ")}` : ""}`);
  const body = JSON.stringify({ model: others[0] ?? name, messages: [{ role: "user", content: "Hello" }] });
  io.stdout(`try: curl ${url}/v1/chat/completions -H 'content-type: application/json' -d '${body}'`);
}
