/**
 * @file Which rows each step trains on, as a pure function of the step's number and the seed.
 *
 * No state is carried from step to step, so a run resumed at any step continues exactly.
 */
import { z } from "zod";
import { UsageError, assertInternal } from "../../errors.ts";
import { A_CHOICE, A_COUNT, checkArguments, lazily } from "../../messages/arguments.ts";
import { Random, STREAM } from "../../random.ts";
import { type TrainingUnit, exampleLength } from "../examples/training-unit.ts";
import type { Example } from "../examples/example.ts";
import { packRows } from "./packing.ts";

/** How the order of a set is determined. */
interface OrderOptions {
  readonly shuffle: boolean;
  readonly seed: number;
}

/** Examples that are drawn equally often; they are contiguous in the data. */
export interface DataSource {
  readonly numExamples: number;
  /** How many times an epoch goes through them, above 0: 2 is twice, 0.5 every other one, the others in the next epoch. */
  readonly weight: number;
}

/** A set of items to draw: the rows of a source. */
interface DrawnSet {
  readonly numItems: number;
  readonly weight: number;
}

/** Returns a function from an epoch, from 0, to its order: a list of all indexes, which the caller owns. */
export function epochs(numItems: number, options: OrderOptions): (epoch: number) => number[] {
  return draws([{ numItems, weight: 1 }], options);
}

/**
 * As `epochs` for several sets, whose items are numbered consecutively. Each set is an endless sequence of passes, and every
 * epoch takes the next `weight` passes, so all items come equally often even if an epoch takes a part of a pass.
 */
function draws(sets: readonly DrawnSet[], { shuffle, seed }: OrderOptions): (epoch: number) => number[] {
  return (epoch) => {
    const drawn: number[] = [];
    let first = 0;
    for (const [set, { numItems, weight }] of sets.entries()) {
      const count = numDrawn(numItems, weight);
      const isParted = shuffle && count % numItems !== 0;
      const order = Array.from({ length: numItems }, (_, i) => i);
      let shuffledPass = -1;
      for (let at = epoch * count; at < (epoch + 1) * count; at++) {
        const pass = Math.floor(at / numItems);
        if (isParted && shuffledPass !== pass) {
          order.sort((a, b) => a - b);
          new Random(seed, STREAM.sharesOfSources, set, pass).shuffle(order);
          shuffledPass = pass;
        }
        drawn.push(first + order[at % numItems]!);
      }
      first += numItems;
    }
    return shuffle ? new Random(seed, STREAM.orderOfRows, epoch).shuffle(drawn) : drawn;
  };
}

/** Number of a set's items in an epoch; at least one, unless the set is empty. */
function numDrawn(numItems: number, weight: number): number {
  return numItems === 0 ? 0 : Math.max(1, Math.round(numItems * weight));
}

/** Options of `planSteps`. */
export interface PlanOptions<E extends TrainingUnit = Example> extends OrderOptions {
  readonly examples: readonly E[];
  /** The sources of the examples, in order. Default: one source of weight 1. */
  readonly sources?: readonly DataSource[];
  /** Rows per micro-batch. */
  readonly batchSize: number;
  /** Micro-batches per step. */
  readonly gradientAccumulationSteps: number;
  readonly packing: boolean;
  /** Maximum tokens of a packed row; ignored without packing. */
  readonly maxLength: number;
}

/** The rows of every step. */
export interface StepPlan<E extends TrainingUnit = Example> {
  /** Rows per epoch: examples, or packs of examples; those of a source count as often as they are drawn. */
  readonly numRows: number;
  readonly stepsPerEpoch: number;
  /** Returns the micro-batches of a step, numbered from 0 over all epochs; each is a list of rows, each row a list of units. */
  microBatches(step: number): E[][][];
}

/** Splits a list into parts of `size`; the last one may be smaller. */
function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

const ARGUMENTS = lazily(() =>
  z.strictObject({
    options: z.strictObject({
      examples: z.array(z.unknown()).min(1),
      batchSize: A_COUNT,
      gradientAccumulationSteps: A_COUNT,
      packing: A_CHOICE,
      maxLength: A_COUNT,
      shuffle: A_CHOICE,
      seed: z.int(),
      sources: z.array(z.looseObject({ numExamples: z.int().min(0), weight: z.number().gt(0) })).optional(),
    }),
  }),
);

/** @throws UsageError as `planSteps` */
function requirePlannable<E extends TrainingUnit>(options: PlanOptions<E>): void {
  checkArguments("planSteps", ARGUMENTS, { options });
  const { examples, packing } = options;
  if (!packing || !examples.some((unit) => "sequences" in unit)) return;
  throw new UsageError(
    "usage/data",
    "Cannot plan steps: packs of comparisons, expected one comparison per row",
    { hint: "Leave packing out." },
  );
}

/** Example indexes of each row, source by source, and the number of rows of each source. */
function layRows<E extends TrainingUnit>(
  options: PlanOptions<E>,
): { readonly rows: readonly (readonly number[])[]; readonly sets: readonly DrawnSet[] } {
  const { examples, packing, maxLength } = options;
  const sources = options.sources ?? [{ numExamples: examples.length, weight: 1 }];
  const lengths = packing ? examples.map(exampleLength) : [];
  const rows: number[][] = [];
  const sets: DrawnSet[] = [];
  let first = 0;
  for (const { numExamples, weight } of sources) {
    const start = first;
    const own = packing
      ? packRows(
          epochs(numExamples, options)(0).map((i) => start + i),
          lengths,
          maxLength,
        )
      : Array.from({ length: numExamples }, (_, i) => [start + i]);
    for (const row of own) rows.push(row);
    sets.push({ numItems: own.length, weight });
    first += numExamples;
  }
  assertInternal(first === examples.length, "every example is of one source");
  return { rows, sets };
}

/**
 * Plans all steps. Packs are made once, source by source, in the order of epoch 0, and shuffled again in each epoch, so every
 * epoch has equally many steps; the last step of an epoch may be smaller.
 *
 * @throws UsageError "usage/flag" when there is no example or a size is not a positive integer, "usage/data" when comparisons
 * should be packed; RangeError when an example does not fit a pack
 */
export function planSteps<E extends TrainingUnit>(options: PlanOptions<E>): StepPlan<E> {
  requirePlannable(options);
  const { examples, batchSize, gradientAccumulationSteps } = options;
  const { rows, sets } = layRows(options);
  const orderOf = draws(sets, options);
  const numRows = sets.reduce((sum, { numItems, weight }) => sum + numDrawn(numItems, weight), 0);
  const rowsPerStep = batchSize * gradientAccumulationSteps;
  const stepsPerEpoch = Math.ceil(numRows / rowsPerStep);
  let cached: { epoch: number; order: number[] } | null = null;

  return {
    numRows,
    stepsPerEpoch,
    microBatches(step) {
      if (!Number.isInteger(step) || step < 0) {
        throw new UsageError("usage/flag", `Cannot plan step ${step}: expected an integer from 0`, {
          hint: "Steps are counted from 0, over all epochs.",
        });
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
