/** @file The gradients of a block: by its input, by what is trained in it, and by what it takes from other blocks. */
import { type Seed, gradients } from "../../graph/autodiff.ts";
import type { Value } from "../../graph/graph.ts";
import { joinThinProducts } from "../../graph/join-thin-products.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { OTHER_KEY, OTHER_VALUE } from "../../models/graphs/part-links.ts";
import { type GradientOutput, gradientName, writeGradients } from "../gradients/gradient-outputs.ts";

/** What a backward program has to do with other blocks. */
export interface LinkVariant {
  /** What others gave it of which they want the gradient. */
  readonly wanted: readonly string[];
  /** Others that read the same have left the gradient of keys and values so far. */
  readonly isAdded: boolean;
  /** Others that read its keys and values have left gradients. */
  readonly isGiven: boolean;
}
const UNLINKED: LinkVariant = { wanted: [], isAdded: false, isGiven: false };

/** What a block gives that others read, and the gradients of both: names of outputs, and of inputs. */
export const GIVEN_KEY = "given_key";
export const GIVEN_VALUE = "given_value";
export const GRADIENT_OF_KEY = "gradient_of_key";
export const GRADIENT_OF_VALUE = "gradient_of_value";
/** What a gradient of keys and values is added to. */
export const SUM_OF_KEY = "sum_of_key";
export const SUM_OF_VALUE = "sum_of_value";
const SUMS: Readonly<Record<string, string>> = { [OTHER_KEY]: SUM_OF_KEY, [OTHER_VALUE]: SUM_OF_VALUE };

/** What a block gives that others read, by the names of outputs. */
export function givenOf({ part }: Pick<BuiltPart, "part">): Record<string, Value> {
  const { newKey, newValue } = part.attention!.outputs;
  return { [GIVEN_KEY]: newKey, [GIVEN_VALUE]: newValue };
}

type NamedValues = Readonly<Record<string, Value>>;

/** A block of which programs are cut; all that it gives is of joined thin products. */
export interface JoinedBlock {
  readonly part: PartGraph;
  /** What it reads, the stream as `x`. */
  readonly inputs: NamedValues;
  readonly y: Value;
  /** What else it gives that other blocks read. */
  readonly toOthers: NamedValues;
  /** The activations that may be saved, of these names. */
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
  /** Which of these are of what is trained. */
  readonly trained: readonly GradientOutput[];
  /** What they are computed from beside what the block reads: gradients of what it gives, and sums that they are added to. */
  readonly inputs: NamedValues;
}

/** Differentiates a block by its input, where something before wants that, by what is trained, and by what others gave it. */
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

/** Gradients of what a block gave others, as inputs by their names. */
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
