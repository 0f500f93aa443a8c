/** @file /v1/fine_tuning/jobs: lists and changes jobs, and lists their events and checkpoints. `create-job` creates them. */
import type { Context } from "hono";
import type { z } from "zod";
import { type Job, type JobEvent, hasEnded } from "../../jobs/job.ts";
import type { JobRow } from "../../jobs/job-table.ts";
import { shownJob } from "../../jobs/training/used-hyperparameters.ts";
import { CHECKPOINT_ANSWER, JOB_ANSWER, JOB_EVENT_ANSWER, pageAnswer } from "../answers/list-answers.ts";
import { ApiError } from "../api-error.ts";
import { JOBS, requireJob, requireJobs } from "../jobs/require-jobs.ts";
import { checkpointName } from "../jobs/result-names.ts";
import { trainedCheckpoints } from "../jobs/trained-models.ts";
import { type AskedPart, PAGE_QUERY, pageOf, toPage } from "../pages.ts";
import { type Route, defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";

export const listJobs = defineRoute({
  method: "get",
  path: JOBS,
  summary: "List fine-tuning jobs, newest first",
  access: "train",
  query: PAGE_QUERY,
  body: null,
  answer: { whole: pageAnswer(JOB_ANSWER) },
  handle: async ({ query, context, state }) => {
    const jobs = (await requireJobs(state).queue.table.list()).map(({ job }) => shownJob(job));
    // In the form of OpenAI's clients: metadata[KEY]=VALUE, and metadata=null for jobs without metadata.
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

export const getJob = ofJob("get", "", "Describe a job", async ({ job }) => shownJob(job));

export const listJobEvents = listOfJob(
  "/events",
  "List the events of a job, newest first",
  JOB_EVENT_ANSWER,
  async ({ job }, state, part) => {
    const { after, limit } = part;
    const { table } = requireJobs(state).queue;
    return toPage(part, await table.listEvents(job.id, { after, limit: limit + 1 }));
  },
);

export const listJobCheckpoints = listOfJob(
  "/checkpoints",
  "List the checkpoints of a job, newest first; each can be used as a model",
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

/** The error for a job in a state that does not allow the change. */
function unchanged({ id, status }: Job): ApiError {
  const told = `The job "${id}" is ${status}`;
  if (hasEnded({ status })) return new ApiError(400, "job_has_ended", `${told}: it can no longer be changed`);
  return status === "paused"
    ? new ApiError(400, "job_is_paused", `${told} already`)
    : new ApiError(400, "job_is_not_paused", `${told}, not paused`);
}

/** Makes the route for a change of jobs. @throws ApiError 400 in states that do not allow it */
function changeOfJob(action: "cancel" | "pause" | "resume", summary: string): Route {
  return ofJob("post", `/${action}`, summary, async ({ job: { id } }, state) => {
    const jobs = requireJobs(state);
    const changed = await jobs.queue[action](id);
    if (changed) return shownJob(changed);
    throw unchanged((await requireJob(jobs, id)).job);
  });
}

export const cancelJob = changeOfJob("cancel", "Cancel a job");
export const pauseJob = changeOfJob("pause", "Pause a job");
export const resumeJob = changeOfJob("resume", "Resume a paused job");
