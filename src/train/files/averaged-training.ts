/**
 * @file Several trainings of one adapter, each on data of its own, brought together every so many steps: local SGD with outer
 * momentum (peft/algebra/outer-step). Files in the output: worker-K/, a run each; round-N/, the adapter after N steps;
 * velocity-N/, what outer momentum remembers.
 *
 * A worker keeps its optimizer's state, and hands in what it has changed. Which machine it runs on changes no number, and an
 * output that holds a part of this is gone on with.
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { FailedError, UsageError } from "../../errors.ts";
import { ADAPTER_FILES } from "../../format/adapters/adapter-folder.ts";
import { readAdapterFolder, writeAdapterFolder } from "../../format/by-path.ts";
import { disk } from "../../format/files/disk/calls.ts";
import {
  type Contribution,
  type NumbersByName,
  differenceOf,
  outerStep,
} from "../../peft/algebra/outer-step.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import type { TrainEvent } from "../events.ts";
import type { TrainInput } from "../options.ts";
import { type TrainHooks, train } from "../trainer.ts";
import { writeShards } from "./data-shards.ts";

type Data = TrainInput["data"];

/** How trainings are brought together. */
export interface AveragedOptions {
  /** So many parts are made of the data; or what each client has, which stays where it is. */
  readonly workers: number | readonly Data[];
  /** Steps of a round. */
  readonly syncEvery: number;
  /** 1 unless given. */
  readonly outerLearningRate?: number;
  /** 0 unless given. */
  readonly outerMomentum?: number;
}

export interface AveragedHooks extends Pick<TrainHooks, "env" | "shared" | "signal"> {
  /** `worker`: whose event it is. */
  readonly onEvent?: (event: TrainEvent, worker: number) => void;
}

/** A round of one worker: from which step to which, and the folder of the adapter that all begin it with. */
export interface Round {
  readonly from: number;
  readonly until: number;
  readonly adapter: string;
}

/** The settings of each training; `steps` are those of each worker. */
export type AveragedInput = TrainInput & { readonly steps: number };

/** Trains; the adapter is in the output. @throws as `train`; UsageError "usage/flag" */
export async function trainAveraged(
  input: AveragedInput,
  options: AveragedOptions,
  hooks: AveragedHooks = {},
): Promise<void> {
  const { output, steps, seed = 0 } = input;
  const { workers, syncEvery, outerLearningRate: learningRate = 1, outerMomentum: momentum = 0 } = options;
  const clients = typeof workers === "number" ? await partsOf(input, workers, seed) : workers;
  let adapter = join(output, "start");
  if (!(await has(output, "start"))) await drawStart({ ...input, data: clients[0] as Data }, adapter, hooks);
  let velocity: NumbersByName | null = null;
  for (let from = 0; from < steps; from += syncEvery) {
    const until = Math.min(from + syncEvery, steps);
    const after = join(output, `round-${until}`);
    const speeds = join(output, `velocity-${until}`);
    if (!(await has(output, `round-${until}`))) {
      const contributions: Contribution[] = [];
      for (const [worker, data] of clients.entries()) {
        const own = { ...input, data, output: join(output, `worker-${worker}`) };
        const onEvent = (event: TrainEvent): void => hooks.onEvent?.(event, worker);
        contributions.push(await trainContribution(own, { from, until, adapter }, { ...hooks, onEvent }));
      }
      const step = outerStep(await numbersOf(adapter), contributions, velocity, { learningRate, momentum });
      // The adapter last: a round that is there is whole.
      await writeNumbers(speeds, adapter, step.velocity);
      await writeNumbers(after, adapter, step.next);
    }
    velocity = await numbersOf(speeds);
    adapter = after;
  }
  for (const name of ADAPTER_FILES) await cp(join(adapter, name), join(output, name));
}

/**
 * Trains one worker's round in its folder, and gives what it has changed, weighted by its examples: all that leaves a client.
 * A round that was begun is gone on with. @throws as `train`
 */
export async function trainContribution(
  input: AveragedInput,
  round: Round,
  hooks: TrainHooks = {},
): Promise<Contribution> {
  const { from, until, adapter } = round;
  const { output, steps } = input;
  const newest = await newestStep(output);
  let weight = 0;
  const stop = new AbortController();
  const signal = hooks.signal ? AbortSignal.any([hooks.signal, stop.signal]) : stop.signal;
  const goOnFrom = { step: from, adapter };
  const onEvent = (event: TrainEvent): void => {
    if (event.event === "start") weight = event.examples;
    const isEnd = event.event === "step" && event.step >= until && until < steps;
    if (isEnd || newest === until) stop.abort();
    hooks.onEvent?.(event);
  };
  try {
    const isBegun = newest !== null;
    await train(
      { ...input, logEvery: 1, resume: isBegun, overwrite: !isBegun },
      { ...hooks, signal, goOnFrom, onEvent },
    );
  } catch (error) {
    const isStopped = error instanceof FailedError && error.code === "train/stopped";
    if (!isStopped || hooks.signal?.aborted === true) throw error;
  }
  const trained = await numbersOf(join(output, `checkpoint-${until}`));
  return { difference: differenceOf(trained, await numbersOf(adapter)), weight };
}

/** Writes the adapter that the trainings of a seed begin with. */
async function drawStart(input: AveragedInput, start: string, hooks: AveragedHooks): Promise<void> {
  const stop = new AbortController();
  const output = join(input.output, "drawn");
  const onEvent = ({ event }: TrainEvent): void => {
    if (event === "start") stop.abort();
  };
  try {
    await train(
      { ...input, output, resume: false, overwrite: true },
      { ...hooks, signal: stop.signal, onEvent },
    );
  } catch (error) {
    if (!(error instanceof FailedError && error.code === "train/stopped")) throw error;
  }
  await writeNumbers(start, join(output, "checkpoint-0"), new Map());
}

/** @throws UsageError "usage/flag" for data that cannot be parted */
async function partsOf(
  { data, output }: AveragedInput,
  workers: number,
  seed: number,
): Promise<readonly Data[]> {
  if (workers === 1) return [data];
  if (typeof data === "string") return await writeShards(data, join(output, "data"), workers, seed);
  throw new UsageError("usage/flag", `Cannot part the data among ${workers} workers: expected one file`, {
    hint: "Give one file, or the data of each client.",
  });
}

async function numbersOf(folder: string): Promise<NumbersByName> {
  const { tensors } = await readAdapterFolder(folder);
  return new Map([...tensors].map(([name, { data }]) => [name, data]));
}

/** Writes an adapter like another, with other numbers where there are some. */
async function writeNumbers(
  folder: string,
  like: string,
  numbers: ReadonlyMap<string, Float32Array>,
): Promise<void> {
  const { config, tensors, metadata } = await readAdapterFolder(like);
  const own = [...tensors].map(([name, { shape, data }]) => {
    return [name, hostTensor("float32", shape, numbers.get(name) ?? data)] as const;
  });
  await writeAdapterFolder(folder, { config, tensors: own, metadata });
}

async function namesIn(folder: string): Promise<string[]> {
  return await disk()
    .readdir(folder)
    .catch(() => []);
}

async function has(folder: string, name: string): Promise<boolean> {
  return (await namesIn(folder)).includes(name);
}

async function newestStep(folder: string): Promise<number | null> {
  const steps = (await namesIn(folder)).flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? []);
  return steps.length === 0 ? null : Math.max(...steps.map(Number));
}
