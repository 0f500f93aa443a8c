/**
 * @file The programs of a model's blocks, compiled when first needed and shared by all blocks of equal structure.
 *
 * A forward program computes y, and gives the activations that are saved; a backward program is given these, and computes the
 * others again from x. That it may save what attention gives and nothing else is from "DISTFLASHATTN", arXiv:2310.03294.
 */
import { gradients } from "../../graph/autodiff.ts";
import type { Value } from "../../graph/graph.ts";
import { joinThinProducts } from "../../graph/join-thin-products.ts";
import { neededInputs } from "../../graph/program.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { Model } from "../../models/model.ts";
import { type PartGraph, isAttended } from "../../models/graphs/part-graph.ts";
import { type BlockOptions, type BlockStructure, compileOfBlock, programOfBlock } from "./block-structure.ts";
import { type GradientOutput, writeGradients } from "../gradients/gradient-outputs.ts";
import type { Compiled, MadeProgram, Makeable, Session } from "../session.ts";

/** The activations that a forward program saves: none, the output of attention alone, or all that the backward program reads. */
export type Saves = "nothing" | "attention" | "all";

/** What makes a program differ from another of the same block. `given`: the saved activations that a backward program reads. */
export type BlockVariant = BlockOptions & {
  /** Whether something before the block wants a gradient. */
  readonly inputGradient: boolean;
} & (
    | { readonly kind: "forward"; readonly saves: Saves }
    | { readonly kind: "backward"; readonly given: readonly string[] }
  );

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
  const own = ["block", kind, activations, inputGradient, dropped];
  return programOfBlock(model, structure, { own, length, dropped }, (built) =>
    cutProgram(built, structure, variant),
  );
}

function cutProgram(
  { part, x, y: end }: BuiltPart,
  { trained }: BlockStructure,
  variant: BlockVariant,
): MadeProgram<BlockProgram> {
  const { kind, inputGradient } = variant;
  const given = { x, ...part.inputs() };
  const joined = joinThinProducts({ name: "block", inputs: given, outputs: { ...part.saved, y: end } });
  const y = joined(end);
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
  if (kind === "forward" && variant.saves === "nothing") return finish("forward", given, { y });
  const dy = part.graph.input("dy", "float32", y.shape);
  const values = trained.map((name) => (part.adapter[name] ?? part.tensors[name])!);
  const [dx, ...found] = gradients([{ value: y, gradient: dy }], [x, ...values]);
  const written = writeGradients(trained, found);
  const backward = { ...(inputGradient && dx ? { dx } : {}), ...written.outputs };
  if (kind === "forward") {
    const wanted = pick((name) => variant.saves === "all" || isAttended(name));
    const needed = neededInputs(backward, { ...given, ...wanted });
    const saved = pick((name) => name in needed && name in wanted);
    return finish("forwardSaving", given, { y, ...saved }, { saved: Object.keys(saved) });
  }
  const isAnew = variant.given.length === 0;
  const candidates = { ...given, dy, ...pick((name) => variant.given.includes(name)) };
  const { gradients: ofTrained } = written;
  return finish(isAnew ? "backwardRecompute" : "backward", candidates, backward, { gradients: ofTrained });
}
