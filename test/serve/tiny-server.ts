/** @file A server of a tiny model with adapters, inside this process. */
import { join } from "node:path";
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

/** Serves a tiny model, which jobs train in float32 whatever `compute` of texts is, as "tiny", with what lies in its folder of adapters: "poet" and "clerk", which are loaded when a request names them. */
export async function serveTiny(
  root: string,
  {
    maxRunning = 1,
    compute,
    coTraining,
    ...options
  }: Partial<AdmissionOptions> &
    Pick<OpenServingOptions, "compute" | "coTraining"> & { readonly maxRunning?: number } = {},
  limits: Partial<Limits> = {},
  jobs: JobTable = new MemoryJobs(),
  chatTemplate = "chatml",
): Promise<TinyServer> {
  const path = await writeTinyModel(join(root, "model"));
  await writeTinyAdapter(path, join(root, "adapters", "poet"), "lora", 1);
  await writeTinyAdapter(path, join(root, "adapters", "clerk"), "road", 2);
  const model = await openServingModel(path, {
    name: "tiny",
    chatTemplate,
    ...(compute && { compute }),
    ...(coTraining && { coTraining }),
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
