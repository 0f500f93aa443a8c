/** @file The settings of a job with averaged training: how many shares its training has, and how its rounds end. */
import { z } from "zod";
import { OF_ONE_TRAINING } from "../../train/files/averaged-training.ts";
import type { Job } from "../job.ts";

/** How a job's training is split. */
export const AVERAGING = z.strictObject({
  shares: z.int().min(1).max(64).describe("Parts of the data, each trained on separately"),
  syncEvery: z.int().positive().describe("Steps per round"),
  outerLearningRate: z.number().positive().default(1),
  outerMomentum: z.number().min(0).lt(1).default(0),
});
export type Averaging = z.output<typeof AVERAGING>;

/** The key of averaging among graft's own settings of a job. */
const KEY = "averaging";

/** Most rounds of a training. */
const MAX_ROUNDS = 100_000;

/** Reads the settings of a job's averaging; null: the job is one training. */
export function averagingOf({ graft }: Pick<Job, "graft">): Averaging | null {
  return graft[KEY] === undefined ? null : AVERAGING.parse(graft[KEY]);
}

/** The settings of each share's training. */
export function ownSettings({ graft }: Pick<Job, "graft">): Job["graft"] {
  const { [KEY]: _, ...own } = graft;
  return own;
}

/** Reasons why a job cannot be averaged; none if it does not ask for it. */
export function averagingProblems(
  graft: Job["graft"],
  isGiven: (key: "validation_file" | "resume_from") => boolean,
): { readonly path: string[]; readonly message: string }[] {
  if (graft[KEY] === undefined) return [];
  const problems: { readonly path: string[]; readonly message: string }[] = [];
  const { steps, [KEY]: averaging } = graft;
  if (typeof steps !== "number") {
    problems.push({ path: ["graft", "steps"], message: "expected a number of steps of each share" });
  } else if (steps > MAX_ROUNDS * (averaging as Averaging).syncEvery) {
    const message = `expected at least ${Math.ceil(steps / MAX_ROUNDS)}, for at most ${MAX_ROUNDS} rounds`;
    problems.push({ path: ["graft", KEY, "syncEvery"], message });
  }
  const none = "an averaged training has none: leave it out";
  for (const key of ["validation_file", "resume_from"] as const) {
    if (isGiven(key)) problems.push({ path: [key], message: none });
  }
  for (const key of OF_ONE_TRAINING) {
    if (graft[key] !== undefined) problems.push({ path: ["graft", key], message: none });
  }
  return problems;
}
