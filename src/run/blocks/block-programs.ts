/**
 * @file The programs of a model's blocks, compiled at first use and shared by all blocks of equal structure.
 *
 * A forward program computes y, and outputs the activations that are saved; a backward program reads these, and recomputes the
 * others from x. Saving only the output of attention is from "DISTFLASHATTN", arXiv:2310.03294.
 */
import { neededInputs } from "../../graph/program.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { Model } from "../../models/model.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { isAttended } from "../../models/graphs/part-saved.ts";
import { type BlockOptions, type BlockStructure, compileOfBlock, programOfBlock } from "./block-structure.ts";
import {
  type BlockGradients,
  type JoinedBlock,
  type LinkVariant,
  blockGradients,
  joinProducts,
} from "./block-gradients.ts";
import type { GradientOutput } from "../gradients/gradient-outputs.ts";
import type { Session } from "../session.ts";
import type { Compiled, MadeProgram, Makeable } from "../session-programs.ts";

/** The activations that a forward program saves: none, the output of attention alone, or all that the backward program reads. */
export type Saves = "nothing" | "attention" | "all";

/** What distinguishes programs of one block. `given`: the saved activations that a backward program reads. */
export type BlockVariant = BlockOptions & {
  /** Whether anything before the block wants a gradient. */
  readonly inputGradient: boolean;
} & (
    | { readonly kind: "forward"; readonly saves: Saves }
    | { readonly kind: "backward"; readonly given: readonly string[]; readonly links?: LinkVariant }
  );

/** What a block's program was made from. */
interface BlockProgram {
  readonly part: PartGraph;
  readonly gradients: readonly GradientOutput[];
  /** Outputs that are saved activations. */
  readonly saved: readonly string[];
}

/** Compiles a block's program, or returns the compiled one. */
export function compileBlock(
  session: Session,
  structure: BlockStructure,
  variant: BlockVariant,
): Promise<Compiled<BlockProgram>> {
  return compileOfBlock(session, structure, blockProgram(session.model, structure, variant));
}

/** Describes a block's program without compiling it. */
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
  built: BuiltPart,
  { trained, givesKeys }: BlockStructure,
  variant: BlockVariant,
): MadeProgram<BlockProgram> {
  const block = joinProducts(built, givesKeys);
  const { inputGradient } = variant;
  if (variant.kind === "backward")
    return backwardProgram(
      block,
      blockGradients(block, trained, inputGradient, variant.links),
      variant.given,
    );
  if (variant.saves === "nothing") return forwardProgram(block);
  // Saves enough for every variant of the backward program.
  const links = { wanted: Object.keys(block.part.links.inputs), isAdded: false, isGiven: givesKeys };
  return savingProgram(block, blockGradients(block, trained, inputGradient, links), variant.saves);
}

function forwardProgram({ part, inputs, y, toOthers }: JoinedBlock): MadeProgram<BlockProgram> {
  const outputs = { ...toOthers, y };
  return {
    spec: { name: "block-forward", inputs: neededInputs(outputs, inputs), outputs },
    made: { part, gradients: [], saved: [] },
  };
}

/** Saves those wanted activations from which the gradients are computed. */
function savingProgram(
  block: JoinedBlock,
  gradients: BlockGradients,
  saves: Exclude<Saves, "nothing">,
): MadeProgram<BlockProgram> {
  const { part, inputs, y, toOthers } = block;
  const wanted = block.saved((name) => saves === "all" || isAttended(name));
  const needed = neededInputs(gradients.outputs, { ...inputs, ...wanted });
  const saved = Object.fromEntries(Object.entries(wanted).filter(([name]) => name in needed));
  const outputs = { ...toOthers, y, ...saved };
  return {
    spec: { name: "block-forwardSaving", inputs: neededInputs(outputs, inputs), outputs },
    made: { part, gradients: [], saved: Object.keys(saved) },
  };
}

/** Recomputes what was not saved. */
function backwardProgram(
  block: JoinedBlock,
  { outputs, trained, inputs }: BlockGradients,
  given: readonly string[],
): MadeProgram<BlockProgram> {
  const candidates = { ...block.inputs, ...inputs, ...block.saved((name) => given.includes(name)) };
  const name = given.length === 0 ? "backwardRecompute" : "backward";
  return {
    spec: { name: `block-${name}`, inputs: neededInputs(outputs, candidates), outputs },
    made: { part: block.part, gradients: trained, saved: [] },
  };
}
