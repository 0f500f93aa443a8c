/** @file Runs a block and measures the smoothing factors for the inputs of its matrices. */
import type { Value } from "../../graph/graph.ts";
import { neededInputs } from "../../graph/program.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { hasFixedSize } from "../../models/graphs/part-saved.ts";
import type { SmoothingRule } from "../../nn/compute.ts";
import { type HostTensor, zeros } from "../../runtime/host-tensor.ts";
import type { BlockPass, BlockRunner } from "./block-runner.ts";
import { givenOf } from "./block-gradients.ts";
import { type BlockStructure, compileOfBlock, programOfBlock } from "./block-structure.ts";
import type { Session } from "../session.ts";
import type { Compiled } from "../session-programs.ts";
import type { Smoothing } from "../weights/weights.ts";

/** What a program that measures factors was made from. */
interface SmoothingProgram {
  readonly part: PartGraph;
  /** The matrices that read the same value, by the output with their factors. */
  readonly tensors: Readonly<Record<string, readonly string[]>>;
}

/** Compiles a block's forward program that also outputs factors for the inputs of its matrices. */
function compileSmoothing(
  session: Session,
  structure: BlockStructure,
  length: number,
  smoothing: SmoothingRule,
): Promise<Compiled<SmoothingProgram>> {
  const of = { own: ["smoothing"], length, dropped: [] };
  const program = programOfBlock(session.model, structure, of, ({ part, x, y }) => {
    const tensors: Record<string, readonly string[]> = {};
    const outputs: Record<string, Value> = { y, ...(structure.givesKeys ? givenOf({ part }) : {}) };
    for (const [value, readers] of part.readers) {
      // Skipped: the number of rows that an expert gets is unknown and may be zero.
      if (!hasFixedSize(value)) continue;
      // A matrix that multiplies several values gets the factors of the first.
      const known = Object.values(tensors).flat();
      if ([...readers.keys()].some((tensor) => known.includes(tensor))) continue;
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

/** One block of a pass, and what goes into it. */
interface MeasuredBlock {
  readonly layer: number;
  /** [B, T, D]. */
  readonly x: HostTensor<"float32">;
  readonly pass: BlockPass;
}

/**
 * Runs a block on x [B, T, D] and measures the factors for the inputs of its matrices, keyed by the matrices' names in the model.
 * Returns them and y, which the caller releases.
 */
export async function forwardSmoothing(
  runner: BlockRunner,
  { layer, x, pass }: MeasuredBlock,
  smoothing: SmoothingRule,
): Promise<{ y: HostTensor<"float32">; factors: Smoothing }> {
  const { session } = runner;
  const structure = runner.structureOf(layer);
  const { length } = pass.context.facts;
  const { program, made } = await compileSmoothing(session, structure, length, smoothing);
  const { feeds, lent } = await runner.feeds(layer, layer + 1, pass, made.part);
  const y = session.pool.acquire("float32", x.shape);
  const measured = Object.keys(made.tensors).map((name): [string, HostTensor<"float32">] => [
    name,
    zeros("float32", program.spec.outputs[name]!.shape as number[]),
  ]);
  const forOthers = structure.givesKeys ? runner.keysForOthers(program.spec, pass.context) : null;
  await program.run({ ...feeds, x }, { ...Object.fromEntries(measured), y, ...forOthers?.into });
  forOthers?.give(layer);
  session.pool.release(...lent);
  const factors = measured.flatMap(([name, of]) =>
    (made.tensors[name] ?? []).map((tensor) => [session.model.tensorName(layer, tensor), of] as const),
  );
  return { y, factors: new Map(factors) };
}
