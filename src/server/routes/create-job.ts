/**
 * @file POST /v1/fine_tuning/jobs: creates a job that trains an adapter on the served base; it is checked before a worker can
 * take it.
 */
import { toldWhole, UsageError } from "../../errors.ts";
import { AUTO, type Job, SUPERVISED } from "../../jobs/job.ts";
import { inSettings } from "../../jobs/training/job-settings.ts";
import { inBothForms } from "../../jobs/training/two-forms.ts";
import { JOB_ANSWER } from "../answers/list-answers.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import { JOBS, requireDataFile, requireJobs } from "../jobs/require-jobs.ts";
import { JOB_REQUEST, type JobRequest, hyperparametersKey, hyperparametersOf } from "../jobs/job-requests.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";

/** Describes what is wrong with the settings of a job; null: nothing. */
function refusalOf(job: Job, requireSettings: (job: Job) => void): string | null {
  try {
    requireSettings(job);
    return null;
  } catch (error) {
    if (error instanceof UsageError) return inSettings(toldWhole(error));
    throw error;
  }
}

export const createJob = defineRoute({
  method: "post",
  path: JOBS,
  summary: "Train an adapter on the base while text is generated",
  access: "train",
  body: JOB_REQUEST,
  answer: { whole: JOB_ANSWER },
  handle: async ({ body, context, state }) => {
    const { fingerprint, files, queue, requireSettings } = requireJobs(state);
    const adapter = await state.models.adapterOf(body.model);
    await requireDataFile(files, body.training_file, "training_file");
    if (body.validation_file != null) await requireDataFile(files, body.validation_file, "validation_file");
    const hyperparameters = hyperparametersOf(body);
    const method = adapter === null ? {} : { method: await methodOf(adapter, body, state) };
    const type = body.method?.type ?? SUPERVISED;
    const asked: Job = {
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
    const refusal = refusalOf(asked, requireSettings);
    if (refusal !== null) {
      const others = { ...asked, hyperparameters: AUTO };
      const param = refusalOf(others, requireSettings) === null ? hyperparametersKey(body) : "graft";
      throw invalidValue(refusal, param);
    }
    const job = inBothForms(asked);
    const path = state.models.list().find(({ id }) => id === adapter)?.path ?? null;
    const initAdapter = path === null ? null : files.toShared(path);
    const from = body.resume_from == null ? null : await foundBelow(state, body.resume_from);
    const maxSteps = from === null ? 0 : await files.importCheckpoint(job.id, from);
    if (!(await queue.submit({ job, base: fingerprint, baseName: state.name, initAdapter, maxSteps }))) {
      // Nobody knows the job's id, so nobody else would remove its files; if the database failed, the job may be known after all.
      if (from !== null) await files.removeRuns(job.id);
      throw new ApiError(429, "too_many_jobs", "The queue of fine-tuning jobs is full");
    }
    return context.json(job);
  },
});

/** The method of an adapter from which a job continues. @throws ApiError 400 for a job that names another */
async function methodOf(adapter: string, { graft }: JobRequest, state: ServerState): Promise<string> {
  const name = await state.models.withAdapter(adapter, ({ method }) => method.name);
  const asked = graft?.["method"] ?? name;
  if (asked === name) return name;
  throw invalidValue(
    `The adapter "${adapter}" is of method ${name}: a job that continues from it must use it too`,
    "graft.method",
  );
}

/** Finds the folder that a client names. @throws ApiError 404 */
async function foundBelow({ adapterRoot }: ServerState, path: string): Promise<string> {
  if (adapterRoot) return await adapterRoot.find(path, "resume_from");
  throw new ApiError(
    404,
    "adapters_disabled",
    "This server does not read folders for clients: start it with --adapter-root FOLDER",
    { param: "resume_from" },
  );
}
