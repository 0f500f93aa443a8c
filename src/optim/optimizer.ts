/**
 * @file The contract of an optimizer: its options, its state per parameter, and its update rule as a graph.
 *
 * To add one: a file, a line in `optimizers.ts`, and its five steps in `test/conformance/optimizers.test.ts`.
 */
import type { z } from "zod";
import type { Value } from "../graph/graph.ts";

/** Where an optimizer was published. */
interface OptimizerPaper {
  readonly title: string;
  readonly url: string;
}

/** Inputs of an update rule: vectors are float32 [P], everything else is a float32 scalar []. */
export interface UpdateInputs<Slot extends string, Scalar extends string> {
  readonly parameter: Value;
  readonly gradient: Value;
  readonly slots: Readonly<Record<Slot, Value>>;
  readonly learningRate: Value;
  readonly weightDecay: Value;
  readonly scalars: Readonly<Record<Scalar, Value>>;
}

/** The new parameter and the new state, all [P]. */
export interface UpdateOutputs<Slot extends string> {
  readonly parameter: Value;
  readonly slots: Readonly<Record<Slot, Value>>;
}

/** An optimizer: options, state and update rule. `Slot` and `Scalar` are the names of its state vectors and its scalars. */
export interface Optimizer<O = unknown, Slot extends string = string, Scalar extends string = string> {
  readonly name: string;
  readonly paper: OptimizerPaper;
  /** Strict schema of the options, each with a default. */
  readonly options: z.ZodType<O>;
  /** The ratio of its typical learning rate to AdamW's. */
  readonly rateFactor: number;
  /** Names of the state vectors; each starts at 0 and has one entry per parameter. */
  readonly slots: readonly Slot[];
  /** Numbers that change with the step, counted from 1; computed in float64. The names are the same at every step. */
  scalars(step: number, options: O): Readonly<Record<Scalar, number>>;
  /** Adds the update to the graph of the given values. */
  update(inputs: UpdateInputs<Slot, Scalar>, options: O): UpdateOutputs<Slot>;
}
