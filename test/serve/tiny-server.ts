/** @file A server of a tiny model with adapters, inside this process. */
import { join } from "node:path";
import { after } from "node:test";
import type { OpenAI } from "openai";
import { type OpenServingOptions, openServingModel } from "../../src/engine/serving-model.ts";
import { JobQueue } from "../../src/jobs/queue/job-queue.ts";
import type { JobTable } from "../../src/jobs/job-table.ts";
import { systemClock } from "../../src/jobs/queue/system-clock.ts";
import { StateFolder } from "../../src/jobs/state-folder.ts";
import { AdapterRoot } from "../../src/server/adapter-root.ts";
import type { AdmissionOptions } from "../../src/server/access/admission.ts";
import { createApp } from "../../src/server/app.ts";
import type { Limits } from "../../src/server/requests/limits.ts";
import { ServerMetrics } from "../../src/server/metrics/metrics.ts";
import { listen } from "../../src/server/listening/listen.ts";
import { openFineTuning } from "../../src/server/jobs/open-fine-tuning.ts";
import { ROUTES } from "../../src/server/routes.ts";
import { fingerprintOf } from "../../src/models/base/fingerprint.ts";
import { ServerState } from "../../src/server/server-state.ts";
import { MemoryJobs } from "../jobs/memory-jobs.ts";
import { writeTinyAdapter } from "../tiny/adapter.ts";
import { writeTinyModel } from "../tiny/model.ts";

const LIMITS: Limits = {
  maxBodyBytes: 1e5,
  requestsPerMinute: null,
  maxTexts: 272,
  maxRequestTokens: null,
  requestTimeoutMs: 600_000,
};

export interface TinyServer {
  readonly state: ServerState;
  readonly app: ReturnType<typeof createApp>;
  /** What was wrong inside. */
  readonly errors: unknown[];
  /** Sends JSON and reads the answer. */
  post(
    path: string,
    body: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: unknown }>;
  close(): Promise<void>;
}

/** Sends JSON, or a text as it is, and reads the answer. */
const posterTo =
  (app: TinyServer["app"]): TinyServer["post"] =>
  async (path, body, headers = {}) => {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const answer = await app.request(path, { method: "POST", body: text, headers });
    const isJson = answer.headers.get("content-type")?.startsWith("application/json") === true;
    return { status: answer.status, body: isJson ? await answer.json() : await answer.text() };
  };

/** Lets a server train the jobs of a table in this process, in float32. */
async function openJobs(
  state: ServerState,
  root: string,
  table: JobTable,
  maxRunning: number,
  onTrouble: (error: unknown) => void,
): Promise<void> {
  const { newId } = state;
  state.fineTuning = openFineTuning(state, {
    fingerprint: await fingerprintOf(state.model.parts.base),
    files: new StateFolder(join(root, "state")),
    queue: new JobQueue({ table, maxWaiting: 8, now: () => state.seconds(), newId }),
    held: { compute: "f32", weights: "float32", chatTemplate: "chatml" },
    maxRunning,
    trainsHere: true,
    clock: systemClock,
    env: process.env,
    troubles: { onTrouble },
  });
}

/** How a tiny model is served. */
export interface TinyOptions
  extends Partial<AdmissionOptions>, Pick<OpenServingOptions, "base" | "compute" | "coTraining" | "headOf"> {
  /** Folder of another model to be served, without adapters. */
  readonly model?: string;
  /** Jobs that run at a time. */
  readonly maxRunning?: number;
  readonly limits?: Partial<Limits>;
  readonly jobs?: JobTable;
  readonly chatTemplate?: string;
}

/** Serves a tiny model, which jobs train in float32 whatever `compute` of texts is, as "tiny", with what lies in its folder of adapters: "poet" and "clerk", which are loaded when a request names them. */
export async function serveTiny(
  root: string,
  {
    maxRunning = 1,
    limits,
    jobs = new MemoryJobs(),
    chatTemplate = "chatml",
    base,
    compute,
    coTraining,
    headOf,
    model: other,
    ...options
  }: TinyOptions = {},
): Promise<TinyServer> {
  const path = other ?? (await writeTinyModel(join(root, "model")));
  if (other === undefined) {
    await writeTinyAdapter(path, join(root, "adapters", "poet"), "lora", 1);
    await writeTinyAdapter(path, join(root, "adapters", "clerk"), "road", 2);
  }
  const model = await openServingModel(path, {
    name: "tiny",
    chatTemplate,
    base,
    ...(compute && { compute }),
    ...(coTraining && { coTraining }),
    headOf,
    trainCompute: "f32",
    threads: 1,
    cacheBytes: 4e6,
  });
  let numIds = 0;
  const errors: unknown[] = [];
  const state = new ServerState({
    model,
    name: "tiny",
    metrics: new ServerMetrics("tiny"),
    limits: { ...LIMITS, ...limits },
    adapterRoot: new AdapterRoot(join(root, "adapters")),
    onError: (error) => errors.push(error),
    now: () => 1_700_000_000_000 + 1000 * numIds,
    newId: () => `${numIds++}`,
    newSeed: () => 7,
  });
  await openJobs(state, root, jobs, maxRunning, (error) => errors.push(error));
  const app = createApp(state, ROUTES, {
    readKeys: async () => null,
    corsOrigins: [],
    ...options,
  });
  return {
    state,
    app,
    errors,
    post: posterTo(app),
    close: async () => {
      await state.fineTuning?.close();
      await model.close();
    },
  };
}

/** Serves a tiny model at a port until the tests have ended, with OpenAI's client for it. */
export async function listenTiny(
  root: string,
  options?: TinyOptions,
): Promise<{ server: TinyServer; url: string; client: OpenAI }> {
  const server = await serveTiny(root, options);
  const { url, stop } = await listen(server.app, { host: "127.0.0.1", port: 0 });
  after(async () => {
    await stop(0);
    await server.close();
  });
  // It takes a tenth of a second to load, which most files of tests do without.
  const { OpenAI: Client } = await import("openai");
  return { server, url, client: new Client({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 }) };
}
