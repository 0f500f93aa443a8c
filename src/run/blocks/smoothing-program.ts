/** @file The program of a block that measures factors on what its matrices multiply. */
import type { Value } from "../../graph/graph.ts";
import { neededInputs } from "../../graph/program.ts";
import { type PartGraph, hasFixedSize } from "../../models/graphs/part-graph.ts";
import type { SmoothingRule } from "../../nn/compute.ts";
import { type BlockStructure, compileOfBlock, programOfBlock } from "./block-structure.ts";
import type { Compiled, Session } from "../session.ts";

/** What a program that measures factors was made from. */
export interface SmoothingProgram {
  readonly part: PartGraph;
  /** The matrices that read the same, by the output that their factors are. */
  readonly tensors: Readonly<Record<string, readonly string[]>>;
}

/** Compiles the forward program of a block that also gives factors on what its matrices multiply. */
export function compileSmoothing(
  session: Session,
  structure: BlockStructure,
  length: number,
  smoothing: SmoothingRule,
): Promise<Compiled<SmoothingProgram>> {
  const own = ["smoothing"];
  const program = programOfBlock(session.model, structure, own, length, [], ({ part, x, y }) => {
    const tensors: Record<string, readonly string[]> = {};
    const outputs: Record<string, Value> = { y };
    for (const [value, readers] of part.readers) {
      // How many rows an expert gets is not known; it may be none.
      if (!hasFixedSize(value)) continue;
      const name = `smoothing:${Object.keys(tensors).length}`;
      outputs[name] = smoothing(
        value,
        [...readers.values()].map((dense) => dense()),
      );
      tensors[name] = [...readers.keys()];
    }
    const inputs = neededInputs(outputs, { x, ...part.inputs() });
    return { spec: { name: "block-smoothing", inputs, outputs }, made: { part, tensors } };
  });
  return compileOfBlock(session, structure, program);
}
