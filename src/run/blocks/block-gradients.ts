/** @file The gradients of a block: with respect to its input, its trained parameters, and what it reads from other blocks. */
import { type Seed, gradients } from "../../graph/autodiff.ts";
import type { Value } from "../../graph/graph.ts";
import { joinThinProducts } from "../../graph/join-thin-products.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { OTHER_KEY, OTHER_VALUE } from "../../models/graphs/part-links.ts";
import { type GradientOutput, gradientName, writeGradients } from "../gradients/gradient-outputs.ts";

/** How a backward program exchanges gradients with other blocks. */
export interface LinkVariant {
  /** Names of inputs from other parts that want their gradients. */
  readonly wanted: readonly string[];
  /** Whether other blocks that read the same keys and values have already left a gradient, to be added to. */
  readonly isAdded: boolean;
  /** Whether other blocks that read this block's keys and values have left gradients. */
  readonly isGiven: boolean;
}
const UNLINKED: LinkVariant = { wanted: [], isAdded: false, isGiven: false };

/** Names of the outputs that other blocks read, and of the inputs with the gradients of these. */
export const GIVEN_KEY = "given_key";
export const GIVEN_VALUE = "given_value";
export const GRADIENT_OF_KEY = "gradient_of_key";
export const GRADIENT_OF_VALUE = "gradient_of_value";
/** Names of the inputs with the gradient of keys and values so far, to which a program adds its own. */
export const SUM_OF_KEY = "sum_of_key";
export const SUM_OF_VALUE = "sum_of_value";
const SUMS: Readonly<Record<string, string>> = { [OTHER_KEY]: SUM_OF_KEY, [OTHER_VALUE]: SUM_OF_VALUE };

/** The outputs of a block that other blocks read, by name. */
export function givenOf({ part }: Pick<BuiltPart, "part">): Record<string, Value> {
  const { newKey, newValue } = part.attention!.outputs;
  return { [GIVEN_KEY]: newKey, [GIVEN_VALUE]: newValue };
}

type NamedValues = Readonly<Record<string, Value>>;

/** A block from which programs are cut, with thin products joined in all its outputs. */
export interface JoinedBlock {
  readonly part: PartGraph;
  /** Its inputs, the stream as `x`. */
  readonly inputs: NamedValues;
  readonly y: Value;
  /** Further outputs that other blocks read. */
  readonly toOthers: NamedValues;
  /** The activations that may be saved and whose names are wanted. */
  saved(isWanted: (name: string) => boolean): NamedValues;
}

export function joinProducts({ part, x, y }: BuiltPart, givesKeys: boolean): JoinedBlock {
  const inputs = { x, ...part.inputs() };
  const toOthers = givesKeys ? givenOf({ part }) : {};
  const joined = joinThinProducts({ name: "block", inputs, outputs: { ...part.saved, ...toOthers, y } });
  const joinAll = (values: NamedValues): NamedValues =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, joined(value)]));
  return {
    part,
    inputs,
    y: joined(y),
    toOthers: joinAll(toOthers),
    saved: (isWanted) =>
      joinAll(Object.fromEntries(Object.entries(part.saved).filter(([name]) => isWanted(name)))),
  };
}

/** The gradients of a block. */
export interface BlockGradients {
  readonly outputs: NamedValues;
  /** The outputs that are gradients of trained parameters. */
  readonly trained: readonly GradientOutput[];
  /** Inputs besides those of the block: gradients of its outputs, and sums to add to. */
  readonly inputs: NamedValues;
}

/**
 * Differentiates a block with respect to its input (if something before it wants that), its trained parameters, and its inputs
 * from other parts.
 */
export function blockGradients(
  { part, inputs, y, toOthers }: JoinedBlock,
  trained: readonly string[],
  inputGradient: boolean,
  { wanted, isAdded, isGiven }: LinkVariant = UNLINKED,
): BlockGradients {
  const dy = part.graph.input("dy", "float32", y.shape);
  const ofGiven = isGiven && !part.links.cutsKeys ? gradientsOfGiven(part, toOthers) : {};
  const values = trained.map((name) => (part.adapter[name] ?? part.tensors[name])!);
  const linked = wanted.map((name) => part.links.inputs[name]!);
  const [dx, ...found] = gradients(
    [{ value: y, gradient: dy }, ...Object.values(ofGiven)],
    [inputs["x"]!, ...values, ...linked],
  );
  const written = writeGradients(trained, found.slice(0, values.length));
  const sums: Record<string, Value> = {};
  const ofLinks: Record<string, Value> = {};
  for (const [i, name] of wanted.entries()) {
    const gradient = found[values.length + i];
    if (!gradient) continue;
    const sum = isAdded ? SUMS[name] : undefined;
    if (sum !== undefined) sums[sum] = part.graph.input(sum, "float32", gradient.shape);
    ofLinks[gradientName(name)] = sum === undefined ? gradient : add(gradient, sums[sum]!);
  }
  const given = Object.fromEntries(Object.entries(ofGiven).map(([name, seed]) => [name, seed.gradient]));
  return {
    outputs: { ...(inputGradient && dx ? { dx } : {}), ...written.outputs, ...ofLinks },
    trained: written.gradients,
    inputs: { dy, ...given, ...sums },
  };
}

/** Gradients of what a block gave to others, as inputs by name. */
function gradientsOfGiven({ graph }: PartGraph, given: NamedValues): Readonly<Record<string, Seed>> {
  const input = (name: string, value: Value): Seed => ({
    value,
    gradient: graph.input(name, "float32", value.shape),
  });
  return {
    [GRADIENT_OF_KEY]: input(GRADIENT_OF_KEY, given[GIVEN_KEY]!),
    [GRADIENT_OF_VALUE]: input(GRADIENT_OF_VALUE, given[GIVEN_VALUE]!),
  };
}
