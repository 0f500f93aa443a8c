/**
 * @file Several trainings of one adapter, each on its own data, averaged every so many steps: local SGD with outer momentum. The output
 * contains a run for each worker, worker-K/, and the rounds (averaged-rounds).
 *
 * A worker keeps its optimizer's state, and contributes only its changes. The machine on which it runs changes no number. A training
 * interrupted in its output is continued; the output of another run is refused (averaged-output).
 */
import { z } from "zod";
import { join } from "node:path";
import { FailedError, UsageError } from "../../errors.ts";
import { checkpointFolder } from "../../format/run-checkpoints.ts";
import type { Contribution } from "../../peft/algebra/outer-step.ts";
import { makesModel } from "../../peft/method.ts";
import {
  A_COUNT,
  A_FUNCTION,
  A_SIGNAL,
  AN_ENVIRONMENT,
  checkArguments,
  lazily,
} from "../../messages/arguments.ts";
import { findMethod } from "../../peft/methods.ts";
import { withListener } from "../../runtime/listener.ts";
import type { TrainEvent } from "../events.ts";
import { parseTrainOptions } from "../settings/options.ts";
import type { TrainInput } from "../settings/train-input.ts";
import type { TrainHooks } from "../train-hooks.ts";
import { train } from "../trainer.ts";
import {
  type OuterOptions,
  A_ROUND,
  OUTER,
  type Round,
  endRound,
  finish,
  hasEnded,
  hasStart,
  newestStep,
  outerRates,
  readContribution,
  roundsOf,
  writeStart,
} from "./averaged-rounds.ts";
import { AveragedOutput } from "./averaged-output.ts";
import { writeShards } from "./data/data-shards.ts";
import { lockRun } from "./folder/run-lock.ts";
import { contentsOf } from "./provenance.ts";

type Data = TrainInput["data"];

/** More workers than anybody has machines for. */
const MAX_WORKERS = 4096;

/** How trainings are averaged. */
export interface AveragedOptions extends OuterOptions {
  /** The number of parts into which the data is split; or each client's own data, which stays where it is. */
  readonly workers: number | readonly Data[];
  /** Steps of a round. */
  readonly syncEvery: number;
}

/** How a caller follows and stops the trainings. */
export interface AveragedHooks extends Pick<TrainHooks, "env" | "shared" | "signal"> {
  /** `worker`: the index of the worker that sent the event. */
  readonly onEvent?: (event: TrainEvent, worker: number) => void;
}

/** The settings of each training; `steps` are those of each worker. */
export type AveragedInput = TrainInput & { readonly steps: number };

/** Settings by which a single training decides where it ends, or which of its checkpoints is the result. */
export const OF_ONE_TRAINING = [
  "earlyStopping",
  "evalMetric",
] as const satisfies readonly (keyof TrainInput)[];

/** Refuses settings that averaged trainings cannot have. @throws UsageError "usage/flag" */
function requireAlike(input: AveragedInput): void {
  const options = parseTrainOptions(input);
  const refuse = (key: string, found: string, hint: string): never => {
    const setting = `${key} ${JSON.stringify(options[key])}`;
    throw new UsageError("usage/flag", `Cannot use ${setting} in an averaged training: ${found}`, { hint });
  };
  if (makesModel(findMethod(options.method)))
    refuse("method", "its result is a whole model, expected an adapter", "Choose another method.");
  if (options.overwrite)
    refuse(
      "overwrite",
      "an averaged training replaces nothing, expected an empty or new folder",
      "Remove the folder, or choose another.",
    );
  const own = OF_ONE_TRAINING.find((key) => options[key] !== undefined);
  if (own === undefined) return;
  const found = "each worker would decide by its own evaluations, expected the same steps for all";
  refuse(own, found, `Leave ${own} out: the result is what all workers have after the last step.`);
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    steps: A_COUNT,
    options: z.strictObject({
      workers: z.union([A_COUNT.max(MAX_WORKERS), z.array(z.unknown()).min(1)]),
      syncEvery: A_COUNT,
      ...OUTER,
    }),
    hooks: z.strictObject({
      onEvent: A_FUNCTION.optional(),
      signal: A_SIGNAL.optional(),
      env: AN_ENVIRONMENT.optional(),
      shared: z.unknown().optional(),
    }),
  }),
);

/**
 * Trains, and writes the adapter to the output. Continues a training begun there with the same settings.
 * @throws as `train`; UsageError "usage/flag"; "usage/output" for an output with anything else, "usage/resume" that names settings
 * that have changed
 */
export async function trainAveraged(
  input: AveragedInput,
  options: AveragedOptions,
  hooks: AveragedHooks = {},
): Promise<void> {
  checkArguments("trainAveraged", ARGUMENTS, { steps: input?.steps, options, hooks });
  requireAlike(input);
  const output = new AveragedOutput(input.output);
  const own = { ...input, output: output.path };
  const given = await bringing(own, options);
  await output.hasBegun(given);
  const lock = await lockRun(own.output, (message) =>
    hooks.onEvent?.({ event: "note", level: "warn", message }, 0),
  );
  try {
    // Checked again under the lock: another training may have ended meanwhile.
    const hasBegun = await output.hasBegun(given);
    const drawn = { ...own, data: typeof options.workers === "number" ? own.data : options.workers[0]! };
    if (hasBegun) await trainToStart(drawn, hooks, { isDrawn: true });
    const prepare = async (): Promise<readonly Data[]> => {
      const { workers } = options;
      const clients = typeof workers === "number" ? await partsOf(own, workers) : workers;
      await drawStart(drawn, hooks);
      return clients;
    };
    const clients = hasBegun ? await prepare() : await output.begin(given, prepare);
    await trainRounds(own, clients, options, hooks);
  } finally {
    await lock.release();
  }
}

/** How trainings are averaged: settings that must be the same when the training is continued. */
async function bringing(input: AveragedInput, options: AveragedOptions): Promise<Record<string, unknown>> {
  const { workers, syncEvery } = options;
  const contents = (data: Data): Promise<readonly unknown[]> =>
    contentsOf(parseTrainOptions({ ...input, data }).data);
  return {
    workers: typeof workers === "number" ? workers : await Promise.all(workers.map(contents)),
    syncEvery,
    ...outerRates(options),
  };
}

async function trainRounds(
  input: AveragedInput,
  clients: readonly Data[],
  options: AveragedOptions,
  hooks: AveragedHooks,
): Promise<void> {
  const { output, steps } = input;
  for (const round of roundsOf(input, options.syncEvery)) {
    if (await hasEnded(output, round)) continue;
    const contributions: Contribution[] = [];
    for (const [worker, data] of clients.entries()) {
      const own = { ...input, data, output: join(output, `worker-${worker}`) };
      const onEvent = (event: TrainEvent): void => hooks.onEvent?.(event, worker);
      contributions.push(await trainContribution(own, round, { ...hooks, onEvent }));
    }
    await endRound(output, round, contributions, { ...options, keepLast: input.keepLast });
  }
  await finish(output, steps);
}

const OF_ROUND = lazily(() => z.strictObject({ steps: A_COUNT, round: A_ROUND }));

/**
 * Trains one worker's round in its folder, and returns its changes, weighted by the number of its examples: nothing else leaves a client.
 * Continues a round that was begun. @throws as `train`
 */
export async function trainContribution(
  input: AveragedInput,
  round: Round,
  hooks: TrainHooks = {},
): Promise<Contribution> {
  checkArguments("trainContribution", OF_ROUND, { steps: input?.steps, round });
  const { from, until, adapter } = round;
  const { output, steps } = input;
  const newest = await newestStep(output);
  const isBegun = newest !== null;
  let weight = 0;
  const own = { ...input, logEvery: 1, resume: isBegun, overwrite: !isBegun };
  await trainUntil(own, { ...hooks, goOnFrom: { step: from, adapter } }, (event) => {
    const isStart = event.event === "start";
    if (isStart) weight = event.examples;
    const isEnd = event.event === "step" && event.step >= until && until < steps;
    // Stops at the earliest after the start event, which has the number of examples.
    return isEnd || (isStart && newest === until);
  });
  return await readContribution(output, round, weight);
}

type DrawHooks = Pick<TrainHooks, "env" | "shared" | "signal">;

/** Writes the adapter with which all trainings of a seed begin, unless it exists. */
export async function drawStart(input: AveragedInput, hooks: DrawHooks): Promise<void> {
  if (await hasStart(input.output)) return;
  const drawn = await trainToStart(input, hooks, { isDrawn: false });
  await writeStart(input.output, join(drawn, checkpointFolder(0)));
}

/**
 * Begins a training that only draws the initial adapter, in a folder of its own; returns the folder.
 * @throws as `train`; with `isDrawn` UsageError "usage/resume" that names settings with which it was not drawn
 */
async function trainToStart(
  input: AveragedInput,
  hooks: DrawHooks,
  { isDrawn }: { readonly isDrawn: boolean },
): Promise<string> {
  const output = join(input.output, "drawn");
  const own = { ...input, output, resume: isDrawn, overwrite: !isDrawn };
  // Its events are not reported.
  await trainUntil(own, { ...hooks, onEvent: () => {} }, ({ event }) => event === "start");
  return output;
}

/** Trains until an event satisfies the condition, or to the end. @throws as `train`, but not for stopping at that event */
async function trainUntil(
  input: TrainInput,
  hooks: TrainHooks,
  isEnough: (event: TrainEvent) => boolean,
): Promise<void> {
  const stop = new AbortController();
  const signal = hooks.signal ? AbortSignal.any([hooks.signal, stop.signal]) : stop.signal;
  await withListener(hooks.onEvent, async (tell) => {
    const onEvent = (event: TrainEvent): void => {
      if (isEnough(event)) stop.abort();
      tell(event);
    };
    try {
      await train(input, { ...hooks, signal, onEvent });
    } catch (error) {
      const isStopped = error instanceof FailedError && error.code === "train/stopped";
      if (!isStopped || hooks.signal?.aborted === true) throw error;
    }
  });
}

/** The folder in an output that contains the parts of the data. */
export function partsFolder(output: string): string {
  return join(output, "data");
}

/** Splits the data of a training into parts. @throws UsageError "usage/flag" for data that cannot be split */
export async function partsOf(
  { data, output, seed = 0 }: AveragedInput,
  numParts: number,
): Promise<readonly Data[]> {
  if (numParts === 1) return [data];
  if (typeof data === "string") return await writeShards(data, partsFolder(output), numParts, seed);
  throw new UsageError(
    "usage/flag",
    `Cannot split the data among ${numParts} workers: there are several files, expected one`,
    {
      hint: "Give one file, or the data of each client.",
    },
  );
}
