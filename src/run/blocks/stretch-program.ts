/** @file Programs of stretches of a block, for callers that decide between its branches. */
import { neededInputs } from "../../graph/program.ts";
import type { BranchGraph, PartGraph } from "../../models/graphs/part-graph.ts";
import { type BlockStructure, compileOfBlock, programOfBlock } from "./block-structure.ts";
import type { Compiled, Session } from "../session.ts";

/** A stretch of a block's residual stream as a program from `x` to `y`: a branch, with what follows before the next. */
export interface StretchProgram {
  readonly part: PartGraph;
  /** Whether the stream stays as it is when the branch does not run. */
  readonly isNothingElse: boolean;
}

/**
 * Compiles the forward program of a branch with what follows before the next one, or of that alone. A norm
 * behind a branch is so in one program with its sum, as in the whole block: the runtime joins them, and rounds otherwise.
 */
export function compileStretch(
  session: Session,
  structure: BlockStructure,
  length: number,
  index: number,
  runsBranch: boolean,
): Promise<Compiled<StretchProgram>> {
  const own = ["stretch", index, runsBranch];
  const program = programOfBlock(session.model, structure, own, length, [], ({ part, x, y }) => {
    if (part.branches[0]?.input !== x)
      throw new RangeError("Cannot cut a block: it does not begin with a branch");
    const { name, input, sum } = part.branches[index] as BranchGraph;
    const end = part.branches[index + 1]?.input ?? y;
    const outputs = { y: end };
    const inputs = neededInputs(outputs, { x: runsBranch ? input : sum, ...part.inputs() });
    const spec = { name: `block-${runsBranch ? "" : "without-"}${name}`, inputs, outputs };
    return { spec, made: { part, isNothingElse: end === sum } };
  });
  return compileOfBlock(session, structure, program);
}
