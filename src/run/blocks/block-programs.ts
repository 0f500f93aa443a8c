/**
 * @file The programs of a model's blocks, compiled when first needed and shared by all blocks of equal structure.
 *
 * A forward program computes y, and gives the activations that are saved; a backward program is given these, and computes the
 * others again from x. That it may save what attention gives and nothing else is from "DISTFLASHATTN", arXiv:2310.03294.
 */
import { type Seed, gradients } from "../../graph/autodiff.ts";
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { joinThinProducts } from "../../graph/join-thin-products.ts";
import { neededInputs } from "../../graph/program.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { Model } from "../../models/model.ts";
import { type PartGraph, isAttended } from "../../models/graphs/part-graph.ts";
import { OTHER_KEY, OTHER_VALUE } from "../../models/graphs/part-links.ts";
import { type BlockOptions, type BlockStructure, compileOfBlock, programOfBlock } from "./block-structure.ts";
import { type GradientOutput, gradientName, writeGradients } from "../gradients/gradient-outputs.ts";
import type { Compiled, MadeProgram, Makeable, Session } from "../session.ts";

/** The activations that a forward program saves: none, the output of attention alone, or all that the backward program reads. */
export type Saves = "nothing" | "attention" | "all";

/** What makes a program differ from another of the same block. `given`: the saved activations that a backward program reads. */
export type BlockVariant = BlockOptions & {
  /** Whether something before the block wants a gradient. */
  readonly inputGradient: boolean;
} & (
    | { readonly kind: "forward"; readonly saves: Saves }
    | { readonly kind: "backward"; readonly given: readonly string[]; readonly links?: LinkVariant }
  );

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

/** What a block's program was made from. */
interface BlockProgram {
  readonly part: PartGraph;
  readonly gradients: readonly GradientOutput[];
  /** Outputs that are saved activations. */
  readonly saved: readonly string[];
}

/** Compiles a block's program, or returns the one there is. */
export function compileBlock(
  session: Session,
  structure: BlockStructure,
  variant: BlockVariant,
): Promise<Compiled<BlockProgram>> {
  return compileOfBlock(session, structure, blockProgram(session.model, structure, variant));
}

/** A block's program, not compiled. */
export function blockProgram(
  model: Model,
  structure: BlockStructure,
  variant: BlockVariant,
): Makeable<BlockProgram> {
  const { kind, inputGradient, length, dropped } = variant;
  const activations = kind === "forward" ? variant.saves : variant.given;
  const links = kind === "backward" && variant.links ? [variant.links] : [];
  const own = ["block", kind, activations, inputGradient, dropped, ...links];
  return programOfBlock(model, structure, { own, length, dropped }, (built) =>
    cutProgram(built, structure, variant),
  );
}

function cutProgram(
  { part, x, y: end }: BuiltPart,
  { trained, givesKeys }: BlockStructure,
  variant: BlockVariant,
): MadeProgram<BlockProgram> {
  const { kind, inputGradient } = variant;
  const given = { x, ...part.inputs() };
  const forOthers = givesKeys ? givenOf({ part }) : {};
  const whole = { ...part.saved, ...forOthers, y: end };
  const joined = joinThinProducts({ name: "block", inputs: given, outputs: whole });
  const y = joined(end);
  const toOthers = Object.fromEntries(
    Object.entries(forOthers).map(([name, value]) => [name, joined(value)]),
  );
  const finish = (
    name: string,
    candidates: Record<string, Value>,
    outputs: Record<string, Value>,
    own: Partial<BlockProgram> = {},
  ): MadeProgram<BlockProgram> => ({
    spec: { name: `block-${name}`, inputs: neededInputs(outputs, candidates), outputs },
    made: { part, gradients: [], saved: [], ...own },
  });
  const pick = (isWanted: (name: string) => boolean): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(part.saved).flatMap(([name, value]) => (isWanted(name) ? [[name, joined(value)]] : [])),
    );
  if (kind === "forward" && variant.saves === "nothing") return finish("forward", given, { ...toOthers, y });
  const dy = part.graph.input("dy", "float32", y.shape);
  // What a forward program saves does for all that may be asked of the backward one.
  const {
    wanted: links,
    isAdded,
    isGiven,
  } = kind === "forward"
    ? { ...UNLINKED, wanted: Object.keys(part.links.inputs), isGiven: givesKeys }
    : (variant.links ?? UNLINKED);
  const ofGiven = isGiven && !part.links.cutsKeys ? gradientsOfGiven(part, toOthers) : {};
  const seeds = Object.entries(ofGiven).map(([, seed]) => seed);
  const values = trained.map((name) => (part.adapter[name] ?? part.tensors[name])!);
  const linked = links.map((name) => part.links.inputs[name]!);
  const [dx, ...found] = gradients([{ value: y, gradient: dy }, ...seeds], [x, ...values, ...linked]);
  const written = writeGradients(trained, found.slice(0, values.length));
  const sums: Record<string, Value> = {};
  const ofLinks = links.flatMap((name, i) => {
    const gradient = found[values.length + i];
    const sum = SUMS[name];
    if (!gradient || !isAdded || sum === undefined)
      return gradient ? [[gradientName(name), gradient] as const] : [];
    sums[sum] = part.graph.input(sum, "float32", gradient.shape);
    return [[gradientName(name), add(gradient, sums[sum])] as const];
  });
  const backward = {
    ...(inputGradient && dx ? { dx } : {}),
    ...written.outputs,
    ...Object.fromEntries(ofLinks),
  };
  if (kind === "forward") {
    const wanted = pick((name) => variant.saves === "all" || isAttended(name));
    const needed = neededInputs(backward, { ...given, ...wanted });
    const saved = pick((name) => name in needed && name in wanted);
    return finish("forwardSaving", given, { ...toOthers, y, ...saved }, { saved: Object.keys(saved) });
  }
  const isAnew = variant.given.length === 0;
  const ofOthers = Object.fromEntries(
    Object.entries(ofGiven).map(([name, { gradient }]) => [name, gradient]),
  );
  const candidates = { ...given, dy, ...ofOthers, ...sums, ...pick((name) => variant.given.includes(name)) };
  const { gradients: ofTrained } = written;
  return finish(isAnew ? "backwardRecompute" : "backward", candidates, backward, { gradients: ofTrained });
}

/** Gradients of what a block gave others, as inputs by their names. */
function gradientsOfGiven(
  { graph }: PartGraph,
  given: Readonly<Record<string, Value>>,
): Record<string, Seed> {
  const input = (name: string, value: Value): Seed => ({
    value,
    gradient: graph.input(name, "float32", value.shape),
  });
  return {
    [GRADIENT_OF_KEY]: input(GRADIENT_OF_KEY, given[GIVEN_KEY]!),
    [GRADIENT_OF_VALUE]: input(GRADIENT_OF_VALUE, given[GIVEN_VALUE]!),
  };
}
