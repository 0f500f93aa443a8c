/** @file The two sides of a comparison of trainings, as child processes with the same settings: `graft train`, and PEFT. */
import { delimiter, dirname, join } from "node:path";

import { flagWords } from "../harness/command-line.ts";
import { runChild, type ChildRun, type TimedEvent } from "../harness/child.ts";
import { ROOT } from "../harness/machine.ts";
import { runPeer } from "../harness/peers.ts";
import { median } from "../harness/statistics.ts";

/** The task of both sides. */
export interface TrainingTask {
  /** Folder that both sides read. */
  readonly model: string;
  readonly data: string;
  /** PEFT folder that both sides start from. */
  readonly adapter: string;
  readonly batchSize: number;
  readonly maxLength: number;
  readonly learningRate: number;
  /** 0: as many as each side chooses. */
  readonly threads: number;
}

/** Results of one side. */
export interface TrainingRun {
  readonly losses: readonly number[];
  /** Seconds of each step, the first included. */
  readonly stepSeconds: readonly number[];
  /** `tokens` of each step as the side counts them. */
  readonly tokens: readonly number[];
  /** From the start of the process to the end of the first step. */
  readonly firstStepMs: number;
  readonly peakMb: number | null;
  /** All events, for values that only one side has. */
  readonly events: readonly TimedEvent[];
}

/** Path of graft's program, whose first line tells how Node should run it. */
const GRAFT = join(ROOT, "bin", "graft.js");

/** Runs a command of graft in a new process, as a shell would, but with this process's Node. */
export function runGraft(args: readonly string[]): Promise<ChildRun> {
  const words = [...args, "--json"];
  if (process.platform === "win32") return runChild(process.execPath, [GRAFT, ...words]);
  const path = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
  return runChild(GRAFT, words, { environment: { PATH: path } });
}

/** A flag of benchmarks: how `graft train` cuts a step. */
export const AT_ONCE = {
  value: 1,
  help: "micro-batches into which graft cuts a step, to run them at once (--data-parallel)",
} as const;

/** Cuts a step into micro-batches that run at once. @throws RangeError for a number that does not divide the rows */
export function cutStep(
  task: TrainingTask,
  numAtOnce: number,
): { readonly task: TrainingTask; readonly flags: readonly string[] } {
  if (numAtOnce === 1) return { task, flags: [] };
  const batchSize = task.batchSize / numAtOnce;
  if (!Number.isInteger(batchSize))
    throw new RangeError(`Cannot cut ${task.batchSize} rows of a step into ${numAtOnce} parts`);
  const flags = flagWords({ "gradient-accumulation-steps": numAtOnce, "data-parallel": numAtOnce });
  return { task: { ...task, batchSize }, flags };
}

function commonFlags({ model, data, learningRate, threads }: TrainingTask) {
  return { model, data, "learning-rate": learningRate, threads: threads || undefined };
}

/** Runs `graft train` in file order, without clipping, decay or schedule; `extra` are further flags. */
export async function trainWithGraft(
  task: TrainingTask,
  output: string,
  extra: readonly string[],
): Promise<TrainingRun> {
  const flags = {
    ...commonFlags(task),
    "init-adapter": task.adapter,
    output,
    overwrite: true,
    "batch-size": task.batchSize,
    "max-length": task.maxLength,
    shuffle: "off",
    schedule: "constant",
    "warmup-steps": 0,
    "max-grad-norm": 0,
    "weight-decay": 0,
  } as const;
  return summarizeGraft(await runGraft(["train", ...flagWords(flags), ...extra]));
}

/** Results of a run of `graft train`; the time of its first step is computed from its speed, so that it excludes the start. */
export function summarizeGraft(run: ChildRun): TrainingRun {
  const first = eventsOf(run, "step")[0]?.value;
  return summarize(run, Number(first?.["tokens"]) / Number(first?.["tokens_per_second"]));
}

/** Draws an adapter with PEFT, from which both sides start; returns its folder. */
export async function drawStart(model: string, rank: number, seed: number, folder: string): Promise<string> {
  await runPeer("make_adapter.py", [model, String(rank), String(seed), folder]);
  return folder;
}

/** Runs one of the PEFT scripts; `extra` are its further flags. */
export async function trainWithPeft(
  script: string,
  task: TrainingTask,
  extra: readonly string[],
): Promise<TrainingRun> {
  const { adapter, batchSize: batch, maxLength: length } = task;
  const run = await runPeer(script, [
    ...flagWords({ ...commonFlags(task), adapter, batch, length }),
    ...extra,
  ]);
  const startMs = eventsOf(run, "start")[0]?.atMs ?? Number.NaN;
  return summarize(run, ((eventsOf(run, "step")[0]?.atMs ?? Number.NaN) - startMs) / 1000);
}

/** Held-out loss before the first step and after the last. */
export interface HeldOutLosses {
  readonly before: number;
  readonly after: number;
}

/** Reads the first and the last evaluation of a run of `graft train`. */
export function heldOutLosses(run: ChildRun): HeldOutLosses {
  const losses = eventsOf(run, "eval").map(({ value }) => Number(value["loss"]));
  return { before: losses[0] ?? Number.NaN, after: losses.at(-1) ?? Number.NaN };
}

/** Picks the events of one kind. */
export function eventsOf(run: Pick<ChildRun, "events">, kind: string): readonly TimedEvent[] {
  return run.events.filter(({ value }) => value["event"] === kind);
}

/** Seconds between neighbouring steps by the outer stopwatch, after `firstSeconds` for the first. @throws Error when there was no step */
export function summarize(run: ChildRun, firstSeconds: number): TrainingRun {
  const steps = eventsOf(run, "step");
  const first = steps[0];
  if (first === undefined) throw new Error("Cannot read the run: no step event, expected one or more");
  return {
    losses: steps.map(({ value }) => Number(value["loss"])),
    stepSeconds: steps.map(({ atMs }, i) =>
      i === 0 ? firstSeconds : (atMs - (steps[i - 1]?.atMs ?? 0)) / 1000,
    ),
    tokens: steps.map(({ value }) => Number(value["tokens"])),
    firstStepMs: first.atMs,
    peakMb: run.peakMb,
    events: run.events,
  };
}

/** Seconds that a step of each run took, as the median of those that count. */
export function stepSecondsOf(runs: readonly TrainingRun[]): number[] {
  return runs.map((run) => median(steadySeconds(run)));
}

/** The steps that count: those after the first two, which warm caches and pools. */
export function steadySeconds({ stepSeconds }: TrainingRun): readonly number[] {
  return stepSeconds.length > 2 ? stepSeconds.slice(2) : stepSeconds.slice(-1);
}
