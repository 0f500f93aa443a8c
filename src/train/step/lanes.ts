/**
 * @file Lanes run the micro-batches of a step, several at once, each on its share of the threads.
 *
 * Two threads of one program wait for each other where operators begin and end; two programs with one thread each do not. Lanes share
 * the weights and the trained parameters; each has its own passes, dropout and gradients.
 */
import type { Objective } from "../objective.ts";
import { Scorer, type ScorerParts } from "./scorer.ts";
import { type MicroBatchRunner, StepRunner, type StepRunnerOptions } from "./step-runner.ts";

/** Runs micro-batches one after another. */
export interface Lane<R extends MicroBatchRunner = StepRunner> {
  readonly steps: R;
  readonly scorer: Scorer;
}

/** One or more. */
export type Lanes<R extends MicroBatchRunner = StepRunner> = readonly [Lane<R>, ...Lane<R>[]];

/** Lanes that the caller who opened them releases. */
export interface OpenLanes {
  readonly lanes: Lanes;
  release(): Promise<void>;
}

/** Compiles the programs outside the blocks, for the given number of lanes. */
export async function openLanes(
  options: StepRunnerOptions & Pick<ScorerParts, "reference">,
  objective: Objective,
  numLanes = 1,
): Promise<OpenLanes> {
  const { session: whole, betweenBlocks } = options;
  const threads = Math.max(1, Math.floor(whole.engine.threads / numLanes));
  const session = numLanes === 1 ? whole : whole.onThreads(threads);
  const opened: StepRunner[] = [];
  const release = async (): Promise<void> => {
    for (const steps of opened) await steps.release();
    if (session !== whole) await session.release();
  };
  const open = async (): Promise<Lane> => {
    const steps = await StepRunner.create({ ...options, session });
    opened.push(steps);
    return { steps, scorer: await Scorer.create(session, options, objective, betweenBlocks) };
  };
  try {
    const lanes: [Lane, ...Lane[]] = [await open()];
    while (lanes.length < numLanes) lanes.push(await open());
    return { lanes, release };
  } catch (error) {
    await release();
    throw error;
  }
}
