/** @file The settings with which a run began, for resuming it. */
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { readJson } from "../../../format/by-path.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { PLANNED_SETTINGS } from "../../plan/alternatives.ts";
import type { TrainOptions } from "../../settings/options.ts";
import { STATE_FILE } from "./read-checkpoint.ts";
import { RUN_FILES } from "./run-files.ts";
import type { RunFolder } from "./run-folder.ts";

/** The length of the run in a checkpoint. */
const SAVED_LENGTH = z.object({
  settings: z.object({ steps: z.number().optional(), epochs: z.number().optional() }),
});
const SAVED_OPTIONS = z.object({
  learningRate: z.number().optional(),
  warmupSteps: z.number().optional(),
  memory: z.string().optional(),
});
const SAVED_SETTINGS = z.record(z.string(), z.unknown());

/**
 * Fills in settings that the user has not given from those with which the run began: its length, its learning rate even if the default
 * has changed since, its memory, and what was chosen to fit it. `keys`: of the settings that the user has given.
 */
export async function begunWith(
  folder: RunFolder,
  given: TrainOptions,
  keys: ReadonlySet<string>,
): Promise<Partial<TrainOptions>> {
  const config = await readConfig(folder);
  const own = SAVED_OPTIONS.catch({}).parse(config);
  const { steps, epochs } = given;
  const { learningRate = own.learningRate, warmupSteps = own.warmupSteps, memory = own.memory } = given;
  const length = steps === undefined && epochs === undefined ? await savedLength(folder) : {};
  const saved = memory === undefined ? {} : SAVED_SETTINGS.catch({}).parse(config);
  const chosen = PLANNED_SETTINGS.filter((key) => key in saved && !keys.has(key));
  return {
    ...length,
    learningRate,
    warmupSteps,
    memory,
    ...Object.fromEntries(chosen.map((key) => [key, saved[key]])),
  };
}

/** The latest length of the run, from the newest readable checkpoint. */
async function savedLength({ checkpoints }: RunFolder): Promise<Pick<TrainOptions, "steps" | "epochs">> {
  for (const step of (await checkpoints.steps()).toReversed()) {
    const state = await readJson(join(checkpoints.at(step), STATE_FILE)).catch(() => null);
    const { success, data } = SAVED_LENGTH.safeParse(state);
    if (success) return data.settings;
  }
  return {};
}

/** The content of the run's settings file; null: there is none. */
async function readConfig({ path }: RunFolder): Promise<unknown> {
  return await disk()
    .readFile(join(path, RUN_FILES.config), "utf8")
    .then(parse)
    .catch(() => null);
}
