/**
 * @file Which rows each step trains on, as a pure function of the step's number and the seed.
 *
 * Nothing is carried from step to step, so a run that is resumed at any step goes on exactly.
 */
import { Random } from "../random.ts";
import { type TrainingUnit, exampleLength } from "./batch.ts";
import type { Example } from "./example.ts";
import { packRows } from "./packing.ts";

/** Stream of the seed that orders come from. */
const ORDER_STREAM = 1;

/** How a set is put in order. */
export interface OrderOptions {
  readonly shuffle: boolean;
  readonly seed: number;
}

/** Makes the function that gives the order of an epoch, from 0: a list of all indexes, which the caller owns. */
export function epochs(numItems: number, { shuffle, seed }: OrderOptions): (epoch: number) => number[] {
  return (epoch) => {
    const order = Array.from({ length: numItems }, (_, i) => i);
    return shuffle ? new Random(seed, ORDER_STREAM, epoch).shuffle(order) : order;
  };
}

/** What `planSteps` needs. */
export interface PlanOptions<E extends TrainingUnit = Example> extends OrderOptions {
  readonly examples: readonly E[];
  /** Rows a micro-batch. */
  readonly batchSize: number;
  /** Micro-batches a step. */
  readonly gradientAccumulationSteps: number;
  readonly packing: boolean;
  /** Tokens a packed row may have; not used without packing. */
  readonly maxLength: number;
}

/** Rows of every step. */
export interface StepPlan<E extends TrainingUnit = Example> {
  /** Rows an epoch: examples, or packs of examples. */
  readonly numRows: number;
  readonly stepsPerEpoch: number;
  /** The micro-batches of a step, numbered from 0 over all epochs; each a list of rows, each row a list of units. */
  microBatches(step: number): E[][][];
}

/** Splits a list into parts of `size`; the last one may be smaller. */
function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

/**
 * Plans all steps. Packs are made once, over the order of epoch 0, and shuffled anew in each epoch, so every epoch has
 * equally many steps; the last step of an epoch may be smaller.
 *
 * @throws RangeError when there is no example, a size is not a positive integer, an example does not fit a pack, or
 * comparisons are to be packed
 */
export function planSteps<E extends TrainingUnit>(options: PlanOptions<E>): StepPlan<E> {
  const { examples, batchSize, gradientAccumulationSteps, packing, maxLength } = options;
  for (const [name, value] of Object.entries({
    batchSize,
    gradientAccumulationSteps,
    numExamples: examples.length,
  })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`Cannot plan steps: ${name} ${value}, expected a positive integer`);
    }
  }
  if (packing && examples.some((unit) => "sequences" in unit)) {
    throw new RangeError("Cannot plan steps: packs of comparisons, expected one comparison a row");
  }
  const rows = packing
    ? packRows(epochs(examples.length, options)(0), examples.map(exampleLength), maxLength)
    : examples.map((_, i) => [i]);
  const orderOf = epochs(rows.length, options);
  const rowsPerStep = batchSize * gradientAccumulationSteps;
  const stepsPerEpoch = Math.ceil(rows.length / rowsPerStep);
  let cached: { epoch: number; order: number[] } | null = null;

  return {
    numRows: rows.length,
    stepsPerEpoch,
    microBatches(step) {
      if (!Number.isInteger(step) || step < 0) {
        throw new RangeError(`Cannot plan step ${step}: expected an integer from 0`);
      }
      const epoch = Math.floor(step / stepsPerEpoch);
      if (cached?.epoch !== epoch) cached = { epoch, order: orderOf(epoch) };
      const start = (step % stepsPerEpoch) * rowsPerStep;
      const stepRows = cached.order
        .slice(start, start + rowsPerStep)
        .map((row) => (rows[row] ?? []).flatMap((index) => examples[index] ?? []));
      return chunk(stepRows, batchSize);
    },
  };
}
