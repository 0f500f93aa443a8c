/**
 * @file The rounds of an averaged training in its output: start/, the initial adapter; checkpoint-N/, the adapter after N steps;
 * velocity-N/, the state of outer momentum (peft/algebra/outer-step). Only those of the last rounds are kept.
 */
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { z } from "zod";
import { FailedError, UsageError } from "../../errors.ts";
import { readAdapterFolder, writeAdapterFolder } from "../../format/by-path.ts";
import { namesIn } from "../../format/files/disk/names-in.ts";
import { checkpointFolder, checkpointSteps } from "../../format/run-checkpoints.ts";
import {
  CONTRIBUTIONS,
  type Contribution,
  type NumbersByName,
  differenceOf,
  outerStep,
} from "../../peft/algebra/outer-step.ts";
import { A_COUNT, A_NAME, checkArguments, lazily } from "../../messages/arguments.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { findUnusable } from "../loop/checks.ts";
import { KEEP_LAST } from "../settings/setting-groups.ts";
import type { TrainInput } from "../settings/train-input.ts";
import { removeEntry } from "./folder/folder-entries.ts";
import { requireSameSettings } from "./folder/read-checkpoint.ts";
import { RunFolder } from "./folder/run-folder.ts";

/** Options of the outer step that ends a round. */
export interface OuterOptions {
  /** Default 1. */
  readonly outerLearningRate?: number;
  /** Default 0. */
  readonly outerMomentum?: number;
}

/** With `keepLast`: how many rounds' adapters the output keeps; default 2. */
type EndOptions = OuterOptions & Pick<TrainInput, "keepLast">;

/** A round of one worker: its first and last step, and the folder of the adapter with which all workers begin it. */
export interface Round {
  readonly from: number;
  readonly until: number;
  readonly adapter: string;
}

/** Schemas of `OuterOptions`. */
export const OUTER = {
  outerLearningRate: z.number().gt(0).optional(),
  outerMomentum: z.number().min(0).lt(1).optional(),
};

export const A_ROUND = z.looseObject({ from: z.int().min(0), until: A_COUNT, adapter: A_NAME });

const ARGUMENTS = lazily(() =>
  z.strictObject({
    output: A_NAME,
    round: A_ROUND,
    contributions: CONTRIBUTIONS,
    options: z.looseObject({ ...OUTER, keepLast: A_COUNT.optional() }),
  }),
);

/** Metadata key in a velocity's file: what its round was computed from. */
const ROUND_KEY = "round";
const MADE_OF = z.record(z.string(), z.unknown());

/** The rounds of a training, in order. */
export function roundsOf(
  { output, steps }: { readonly output: string; readonly steps: number },
  syncEvery: number,
): Round[] {
  return Array.from({ length: Math.ceil(steps / syncEvery) }, (_, i) => {
    const from = i * syncEvery;
    return { from, until: Math.min(from + syncEvery, steps), adapter: adapterAfter(output, from) };
  });
}

function adapterAfter(output: string, step: number): string {
  return join(output, step === 0 ? "start" : checkpointFolder(step));
}

function velocityAfter(output: string, step: number): string {
  return join(output, `velocity-${step}`);
}

/** Whether the output has the adapter with which the first round begins. */
export async function hasStart(output: string): Promise<boolean> {
  return (await namesIn(output)).includes(basename(adapterAfter(output, 0)));
}

/** Whether a round has ended: its adapter or a later one is in the output. */
export async function hasEnded(output: string, { until }: Round): Promise<boolean> {
  return newestRound(await namesIn(output)) >= until;
}

/** The step at which the newest round in a folder has ended; 0: there is none. Checkpoints of other runs have no velocity. */
function newestRound(names: readonly string[]): number {
  const isOfRound = (step: number): boolean => names.includes(basename(velocityAfter("", step)));
  return checkpointSteps(names).findLast(isOfRound) ?? 0;
}

/** Copies the adapter with which the first round begins from a folder. */
export async function writeStart(output: string, like: string): Promise<void> {
  await writeNumbers(adapterAfter(output, 0), like, new Map());
}

/**
 * Ends a round, unless it has ended: applies its contributions to the adapter and writes checkpoint-N (N = `until`) to the output.
 * Then removes rounds older than those that are kept.
 * @throws as `outerStep`; UsageError "usage/output" for the folder of another run, "usage/resume" if the round has ended with
 * other contributions; FailedError "train/nan", "failed/write"
 */
export async function endRound(
  output: string,
  round: Round,
  contributions: readonly Contribution[],
  options: EndOptions = {},
): Promise<void> {
  checkArguments("endRound", ARGUMENTS, { output, round, contributions, options });
  const names = await namesIn(output);
  const newest = newestRound(names);
  if (newest === 0 && checkpointSteps(names).length > 0) await refuseOther(output);
  if (newest < round.until) await writeRound(output, round, contributions, options);
  else await requireSame(output, round, madeOf(contributions, options));
  await dropOld(output, options.keepLast ?? KEEP_LAST);
}

/** The options with defaults. */
export function outerRates({
  outerLearningRate = 1,
  outerMomentum = 0,
}: OuterOptions): Required<OuterOptions> {
  return { outerLearningRate, outerMomentum };
}

/** What a round is computed from; the order of the contributions does not matter. */
function madeOf(contributions: readonly Contribution[], options: OuterOptions): Record<string, unknown> {
  const digests = contributions.map(({ difference, weight }) => {
    const hash = createHash("sha256").update(`${weight}\n`);
    for (const [name, values] of [...difference].sort(([a], [b]) => (a < b ? -1 : 1)))
      hash.update(`${name}\n`).update(Float64Array.from(values));
    return hash.digest("hex").slice(0, 16);
  });
  return { contributions: digests.toSorted(), ...outerRates(options) };
}

/** @throws UsageError "usage/resume" if a kept round was computed from something else */
async function requireSame(output: string, { until }: Round, given: Record<string, unknown>): Promise<void> {
  const velocity = velocityAfter(output, until);
  if (!(await namesIn(output)).includes(basename(velocity))) return;
  const told = (await readAdapterFolder(velocity)).metadata[ROUND_KEY];
  // Rounds of older versions do not say.
  if (told !== undefined)
    requireSameSettings(adapterAfter(output, until), MADE_OF.parse(JSON.parse(told)), given);
}

/** @throws UsageError "usage/output" */
async function refuseOther(output: string): Promise<void> {
  await new RunFolder(output, { logs: [], hasSamples: false }).check({ overwrite: false });
}

async function writeRound(
  output: string,
  { from, until, adapter }: Round,
  contributions: readonly Contribution[],
  options: OuterOptions,
): Promise<void> {
  const { outerLearningRate: learningRate, outerMomentum: momentum } = outerRates(options);
  const velocity = from === 0 ? null : await numbersOf(velocityAfter(output, from));
  const step = outerStep(await numbersOf(adapter), contributions, velocity, { learningRate, momentum });
  requireUsable(step.next, until);
  const own = { [ROUND_KEY]: JSON.stringify(madeOf(contributions, options)) };
  await writeNumbers(velocityAfter(output, until), adapter, step.velocity, own);
  // The adapter is written last: if it exists, the round is complete.
  await writeNumbers(adapterAfter(output, until), adapter, step.next);
}

/** Removes old rounds. Resuming needs the last round, or an earlier one if that is damaged. */
async function dropOld(output: string, keepLast: number): Promise<void> {
  const names = await namesIn(output);
  const old = checkpointSteps(names).slice(0, -keepLast);
  // The adapter is removed last: both are found by it, also after an interrupted removal.
  const paths = old.flatMap((step) => [velocityAfter(output, step), adapterAfter(output, step)]);
  for (const path of paths) if (names.includes(basename(path))) await removeEntry(path);
}

/** @throws FailedError "train/nan" for numbers with which rounds cannot continue */
function requireUsable(numbers: ReadonlyMap<string, Float32Array>, step: number): void {
  for (const [name, values] of numbers) {
    const bad = findUnusable(values);
    if (bad === null) continue;
    throw new FailedError("train/nan", `Cannot continue training: ${name} is ${bad} in step ${step}`, {
      hint: "Choose a lower outer learning rate or outer momentum.",
    });
  }
}

/**
 * Makes the adapter after the last step the result of the output.
 * @throws UsageError "usage/flag" if it was removed because rounds continued
 */
export async function finish(output: string, steps: number): Promise<void> {
  const adapter = adapterAfter(output, steps);
  const names = await namesIn(output);
  if (!names.includes(basename(adapter))) {
    const newest = checkpointSteps(names).at(-1);
    throw new UsageError(
      "usage/flag",
      `Cannot end "${output}" after ${steps} steps: it has advanced further, and no longer keeps that adapter, expected at least ${newest} steps`,
      { hint: "Give that many steps, or another output." },
    );
  }
  await writeNumbers(output, adapter, new Map());
}

/** Reads the changes of a worker that has trained a round in its folder. */
export async function readContribution(
  folder: string,
  { until, adapter }: Round,
  weight: number,
): Promise<Contribution> {
  const trained = await numbersOf(join(folder, checkpointFolder(until)));
  return { difference: differenceOf(trained, await numbersOf(adapter)), weight };
}

async function numbersOf(folder: string): Promise<NumbersByName> {
  const { tensors } = await readAdapterFolder(folder);
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}

/** Writes a copy of an adapter with some numbers replaced, and notes added to its file's metadata. */
async function writeNumbers(
  folder: string,
  like: string,
  numbers: ReadonlyMap<string, Float32Array>,
  notes: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { config, tensors, metadata } = await readAdapterFolder(like);
  const own = [...tensors].map(([name, { shape, data }]) => {
    return [name, hostTensor("float32", shape, numbers.get(name) ?? data)] as const;
  });
  await writeAdapterFolder(folder, { config, tensors: own, metadata: { ...metadata, ...notes } });
}

/** Step of the newest checkpoint in a folder; null: there is none. */
export async function newestStep(folder: string): Promise<number | null> {
  return checkpointSteps(await namesIn(folder)).at(-1) ?? null;
}
