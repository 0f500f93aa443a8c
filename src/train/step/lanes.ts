/**
 * @file Lanes: what the micro-batches of a step run on, several at once, each on its share of the threads.
 *
 * A program on two threads waits where its operators begin and end; two programs on one thread each do not. Lanes share the
 * weights and what is trained; passes, dropout and gradients are a lane's own.
 */
import type { Objective } from "../objective.ts";
import { Scorer, type ScorerParts } from "./scorer.ts";
import { type MicroBatchRunner, StepRunner, type StepRunnerOptions } from "./step-runner.ts";

/** What micro-batches run on, one after another. */
export interface Lane<R extends MicroBatchRunner = StepRunner> {
  readonly steps: R;
  readonly scorer: Scorer;
}

/** One or more. */
export type Lanes<R extends MicroBatchRunner = StepRunner> = readonly [Lane<R>, ...Lane<R>[]];

/** Lanes that whoever opened them releases. */
export interface OpenLanes {
  readonly lanes: Lanes;
  release(): Promise<void>;
}

/** Compiles what is not tied to a block, for as many lanes as are asked for. */
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
