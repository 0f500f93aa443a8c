/** @file /v1/fine_tuning/jobs: trains adapters on the base that is being served, while it is served. */
import type { Context } from "hono";
import type { z } from "zod";
import { toldWhole, UsageError } from "../../errors.ts";
import { HYPERPARAMETERS, type Job, type JobEvent, SUPERVISED, hasEnded } from "../../jobs/job.ts";
import type { JobRow } from "../../jobs/job-table.ts";
import { shownJob } from "../../jobs/training/used-hyperparameters.ts";
import { CHECKPOINT_ANSWER, JOB_ANSWER, JOB_EVENT_ANSWER, pageAnswer } from "../answers/list-answers.ts";
import { ApiError } from "../api-error.ts";
import {
  checkpointName,
  requireFile,
  requireJob,
  requireJobs,
  trainedCheckpoints,
} from "../jobs/fine-tuning.ts";
import { JOB_REQUEST, type JobRequest } from "../jobs/job-requests.ts";
import { type AskedPart, PAGE_QUERY, pageOf, toPage } from "../pages.ts";
import { type Route, defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";

const JOBS = "/v1/fine_tuning/jobs";

function hyperparametersOf({ hyperparameters, method }: JobRequest): Job["hyperparameters"] {
  const nested = method && (method[method.type] as { readonly hyperparameters?: unknown } | undefined);
  return HYPERPARAMETERS.parse(nested?.hyperparameters ?? hyperparameters ?? {});
}

/** Where a request has its hyperparameters. */
function hyperparametersKey({ hyperparameters, method }: JobRequest): string {
  return hyperparameters != null || method == null
    ? "hyperparameters"
    : `method.${method.type}.hyperparameters`;
}

/** What is wrong with the settings of a job; null: nothing. */
function refusalOf(job: Job, requireSettings: (job: Job) => void): string | null {
  try {
    requireSettings(job);
    return null;
  } catch (error) {
    if (error instanceof UsageError) return toldWhole(error);
    throw error;
  }
}

export const createJob = defineRoute({
  method: "post",
  path: JOBS,
  summary: "Train an adapter on the base, beside what is written",
  access: "train",
  body: JOB_REQUEST,
  answer: { whole: JOB_ANSWER },
  handle: async ({ body, context, state }) => {
    const { fingerprint, files, queue, requireSettings } = requireJobs(state);
    const adapter = await state.adapterOf(body.model);
    await requireFile(files, body.training_file, "training_file");
    if (body.validation_file != null) await requireFile(files, body.validation_file, "validation_file");
    const hyperparameters = hyperparametersOf(body);
    const method = adapter === null ? {} : { method: await methodOf(adapter, body, state) };
    const type = body.method?.type ?? SUPERVISED;
    const job: Job = {
      id: `ftjob-${state.newId()}`,
      object: "fine_tuning.job",
      created_at: state.seconds(),
      finished_at: null,
      model: body.model,
      fine_tuned_model: null,
      organization_id: "graft",
      status: "queued",
      hyperparameters,
      method: { type, [type]: { hyperparameters } },
      training_file: body.training_file,
      validation_file: body.validation_file ?? null,
      result_files: [],
      trained_tokens: null,
      error: null,
      seed: body.seed ?? state.newSeed(),
      suffix: body.suffix ?? null,
      estimated_finish: null,
      metadata: body.metadata ?? null,
      graft: { ...method, ...body.graft },
    };
    const refusal = refusalOf(job, requireSettings);
    if (refusal !== null) {
      const others = { ...job, hyperparameters: HYPERPARAMETERS.parse({}) };
      const param = refusalOf(others, requireSettings) === null ? hyperparametersKey(body) : "graft";
      throw new ApiError(400, refusal, { code: "invalid_value", param });
    }
    const path = state.list().find(({ id }) => id === adapter)?.path ?? null;
    const initAdapter = path === null ? null : files.toShared(path);
    const from = body.resume_from == null ? null : await foundBelow(state, body.resume_from);
    if (from !== null) await files.importCheckpoint(job.id, from);
    if (!(await queue.submit({ job, base: fingerprint, baseName: state.name, initAdapter }))) {
      // Nobody knows the job, so nobody would remove it; where the database was lost it may be known.
      if (from !== null) await files.removeRuns(job.id);
      throw new ApiError(429, "As many fine-tuning jobs wait as may", { code: "too_many_jobs" });
    }
    return context.json(job);
  },
});

/** The method of an adapter that a job goes on from. @throws ApiError 400 for a job that names another */
async function methodOf(adapter: string, { graft }: JobRequest, state: ServerState): Promise<string> {
  const name = await state.withAdapter(adapter, ({ method }) => method.name);
  const asked = graft?.["method"] ?? name;
  if (asked === name) return name;
  throw new ApiError(
    400,
    `The adapter "${adapter}" is of method ${name}: a job that goes on from it has that`,
    {
      code: "invalid_value",
      param: "graft.method",
    },
  );
}

/** Finds a folder that a client names. @throws ApiError 404 */
async function foundBelow({ adapterRoot }: ServerState, path: string): Promise<string> {
  if (adapterRoot) return await adapterRoot.find(path, "resume_from");
  throw new ApiError(404, "This server reads no folders of clients: start it with --adapter-root FOLDER", {
    code: "adapters_disabled",
    param: "resume_from",
  });
}

export const listJobs = defineRoute({
  method: "get",
  path: JOBS,
  summary: "List fine-tuning jobs, the newest first",
  access: "train",
  query: PAGE_QUERY,
  body: null,
  answer: { whole: pageAnswer(JOB_ANSWER) },
  handle: async ({ query, context, state }) => {
    const jobs = (await requireJobs(state).queue.table.list()).map(({ job }) => shownJob(job));
    // As OpenAI's clients write it: metadata[KEY]=VALUE, and metadata=null for those without.
    const asked = Object.entries(context.req.query()).flatMap(([name, value]) => {
      const key = /^metadata\[(.*)\]$/.exec(name)?.[1];
      return key === undefined ? [] : [[key, value] as const];
    });
    const isBare = context.req.query("metadata") === "null";
    const own = jobs.filter(({ metadata }) =>
      isBare ? metadata === null : asked.every(([key, value]) => metadata?.[key] === value),
    );
    return context.json(pageOf(query, own.toReversed()));
  },
});

function ofJob(
  method: Route["method"],
  rest: string,
  summary: string,
  answer: (row: JobRow, state: ServerState) => Promise<object>,
): Route {
  return defineRoute({
    method,
    path: `${JOBS}/:id${rest}`,
    summary,
    access: "train",
    body: null,
    answer: { whole: JOB_ANSWER },
    handle: async ({ context, state }) => context.json(await answer(await namedJob(context, state), state)),
  });
}

/** The list of something that a job has. */
function listOfJob(
  rest: string,
  summary: string,
  item: z.ZodType,
  answer: (row: JobRow, state: ServerState, part: AskedPart) => Promise<object>,
): Route {
  return defineRoute({
    method: "get",
    path: `${JOBS}/:id${rest}`,
    summary,
    access: "train",
    query: PAGE_QUERY,
    body: null,
    answer: { whole: pageAnswer(item) },
    handle: async ({ query, context, state }) =>
      context.json(await answer(await namedJob(context, state), state, query)),
  });
}

/** @throws ApiError 404 */
async function namedJob(context: Context, state: ServerState): Promise<JobRow> {
  return await requireJob(requireJobs(state), context.req.param("id") ?? "");
}

export const getJob = ofJob("get", "", "Tell of a job", async ({ job }) => shownJob(job));

export const listJobEvents = listOfJob(
  "/events",
  "List what a job has told, the newest first",
  JOB_EVENT_ANSWER,
  async ({ job }, state, part) => {
    const { after, limit } = part;
    const { table } = requireJobs(state).queue;
    return toPage(part, await table.listEvents(job.id, { after, limit: limit + 1 }));
  },
);

export const listJobCheckpoints = listOfJob(
  "/checkpoints",
  "List the checkpoints of a job, the newest first; each can be asked for as a model",
  CHECKPOINT_ANSWER,
  async (row, state, part) => {
    const { job, folder } = row;
    const { files, queue } = requireJobs(state);
    await files.fetchRun(job.id, folder);
    const found = (await trainedCheckpoints(files, row)).map(({ step }) => ({
      id: `ftckpt-${job.id.slice("ftjob-".length)}-${step}`,
      step,
    }));
    const page = pageOf(part, found.toReversed());
    const events = await queue.table.listEventsOf(
      job.id,
      page.data.map(({ step }) => step),
    );
    const toldAt = (step: number): JobEvent[] => events.filter(({ data }) => data?.["step"] === step);
    const data = page.data.map(({ id, step }) => ({
      id,
      object: "fine_tuning.job.checkpoint",
      created_at: toldAt(step).at(-1)?.created_at ?? job.created_at,
      fine_tuning_job_id: job.id,
      fine_tuned_model_checkpoint: checkpointName(job, step),
      step_number: step,
      metrics: Object.assign({}, ...toldAt(step).map(({ data }) => data)) as object,
    }));
    return { ...page, data };
  },
);

/** Why a job in this state is not changed. */
function unchanged({ id, status }: Job): ApiError {
  const told = `The job "${id}" is ${status}`;
  if (hasEnded({ status }))
    return new ApiError(400, `${told}: it cannot be changed any more`, { code: "job_has_ended" });
  return status === "paused"
    ? new ApiError(400, `${told} already`, { code: "job_is_paused" })
    : new ApiError(400, `${told}, not paused`, { code: "job_is_not_paused" });
}

/** What a client may do to a job in the states that allow it. @throws ApiError 400 in the others */
function changeOfJob(action: "cancel" | "pause" | "resume", summary: string): Route {
  return ofJob("post", `/${action}`, summary, async ({ job: { id } }, state) => {
    const jobs = requireJobs(state);
    const changed = await jobs.queue[action](id);
    if (changed) return shownJob(changed);
    throw unchanged((await requireJob(jobs, id)).job);
  });
}

export const cancelJob = changeOfJob("cancel", "End a job");
export const pauseJob = changeOfJob("pause", "Stop a job until it is resumed");
export const resumeJob = changeOfJob("resume", "Let a paused job go on");
