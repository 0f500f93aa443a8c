/** @file Joins the jobs of a state folder to a server's model: what they train on, and what becomes of their results. */
import type { Job } from "../jobs/job.ts";
import { JobRunner } from "../jobs/job-runner.ts";
import type { JobPlaces } from "../jobs/job-settings.ts";
import type { JobStore } from "../jobs/job-store.ts";
import { resultName } from "./fine-tuning.ts";
import { requireFile } from "./routes/files.ts";
import type { FineTuning, ServerState } from "./server-state.ts";

/** What is kept of the command that serves. */
export interface FineTuningOptions extends Pick<JobPlaces, "compute" | "weights" | "chatTemplate"> {
  readonly store: JobStore;
  readonly env: NodeJS.ProcessEnv;
}

/** Makes the jobs of a server, not started yet. */
export function openFineTuning(state: ServerState, { store, env, ...open }: FineTuningOptions): FineTuning {
  const { engine, parts } = state.model;
  const placesOf = async (job: Job): Promise<JobPlaces> => {
    const adapter = state.adapterOf(job.model);
    const data = await requireFile(store, job.training_file, "training_file");
    const evalData =
      job.validation_file === null ? null : await requireFile(store, job.validation_file, "validation_file");
    return {
      model: parts.checkpoint.path,
      initAdapter: engine.adapters.list().find(({ name }) => name === adapter)?.path ?? null,
      data: store.pathOf(data),
      evalData: evalData && store.pathOf(evalData),
      output: store.runFolder(job.id),
      width: engine.session.model.width,
      ...open,
    };
  };
  const runner = new JobRunner({
    store,
    placesOf,
    env,
    share: () => ({ session: engine.session, ...engine.turns.training() }),
    // Read when it is first asked for.
    onResult: async (job) => {
      const name = job.fine_tuned_model ?? resultName(job);
      if (!engine.adapters.has(name)) engine.adapters.register(name, store.runFolder(job.id));
    },
    now: () => state.seconds(),
    newId: state.newId,
    nameOf: resultName,
  });
  return { store, runner };
}
