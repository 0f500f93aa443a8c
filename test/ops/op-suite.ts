/**
 * @file The contract of an operation's tests: its reference in float64 and the cases it is tried on.
 *
 * The same suite feeds the shape check, the forward check, the gradient checks and the benchmark.
 */
import type { DType } from "../../src/graph/dtype.ts";
import type { Attributes } from "../../src/graph/graph.ts";
import type { Bindings, Shape } from "../../src/graph/shape.ts";
import type { Random } from "../../src/random.ts";
import type { Array64 } from "./array64.ts";

/** Draws the element at a flat place. */
export type Draw = (random: Random, place: number) => number;

/** Element type, shape and values of one input. */
export interface InputSpec {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly draw: Draw;
}

export interface OpCase {
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly attributes: Attributes;
  /** Numbers for the symbols in the shapes. */
  readonly bindings: Bindings;
  /** Allowed error of float32 against float64: |error| <= tolerance * (1 + |expected|). */
  readonly tolerance: number;
  /** False where the function has no derivative at the drawn values. */
  readonly smooth: boolean;
  /** Outputs into which a gradient flows. */
  readonly seeded: readonly number[];
}

/** Inputs that the operation must refuse. */
export interface RejectedCase {
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly attributes: Attributes;
}

export interface OpSuite {
  /** Name of the operation. */
  readonly op: string;
  /** Computes all outputs in float64. */
  reference(inputs: readonly Array64[], attributes: Attributes, bindings: Bindings): readonly Array64[];
  /** Which inputs take a gradient. */
  readonly differentiable: (inputIndex: number) => boolean;
  readonly cases: readonly OpCase[];
  readonly rejected: readonly RejectedCase[];
  /** A case of the size that training meets, for the benchmark. */
  readonly realistic: OpCase;
}

type CaseDefaults = Partial<Omit<OpCase, "name" | "inputs">>;

/** Makes a case; without more it has no attributes and no symbols, and a few units in the last place of error. */
export function opCase(name: string, inputs: readonly InputSpec[], more: CaseDefaults = {}): OpCase {
  return { name, inputs, attributes: {}, bindings: {}, tolerance: 2e-6, smooth: true, seeded: [0], ...more };
}

/** Makes a case that must be refused. */
export function reject(
  name: string,
  inputs: readonly InputSpec[],
  attributes: Attributes = {},
): RejectedCase {
  return { name, inputs, attributes };
}

/** Draws from the normal distribution. */
export function normal(scale = 1, mean = 0): Draw {
  return (random) => mean + scale * random.normal();
}

/** Draws evenly from a range. */
export function uniform(low: number, high: number): Draw {
  return (random) => low + (high - low) * random.uniform();
}

/** Draws evenly from two ranges, [-high, -low] and [low, high]: keeps away from 0. */
export function awayFromZero(low: number, high: number): Draw {
  return (random) => (random.uniform() < 0.5 ? -1 : 1) * (low + (high - low) * random.uniform());
}

/** Draws integers from 0 up to but not including `below`. */
export function integers(below: number): Draw {
  return (random) => random.integer(below);
}

/** Gives the listed values. */
export function given(...values: readonly number[]): Draw {
  return (_random, place) => values[place]!;
}

/** A float32 input; normal values unless told. */
export function float(shape: Shape, draw: Draw = normal()): InputSpec {
  return { dtype: "float32", shape, draw };
}

/** An int64 input. */
export function int64(shape: Shape, draw: Draw): InputSpec {
  return { dtype: "int64", shape, draw };
}
