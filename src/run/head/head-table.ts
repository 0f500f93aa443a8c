/**
 * @file The gradient of a trained matrix of the head, W [V, D], some rows at a time:
 *
 *   dW = (p - 1 at the labels)ᵀ (s ∘ h)     p [N, V] probabilities  h [N, D] what W multiplies  s [N, 1] scale of each position
 */
import { Graph } from "../../graph/graph.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { Parameter } from "../../peft/parameters.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { GradientBuffer } from "../gradients/gradient-buffer.ts";
import type { Session } from "../session.ts";
import type { MadeProgram, Makeable } from "../session-programs.ts";

/** The factors of the gradient: p, and s ∘ h. */
interface TableGradient extends Record<string, HostTensor> {
  readonly p: HostTensor<"float32">;
  readonly scaled: HostTensor<"float32">;
}

/** Takes memory for some positions from the pool. */
export function acquireForTable({ pool, model }: Session, numPositions: number): TableGradient {
  return {
    p: pool.acquire("float32", [numPositions, model.numOutputs]),
    scaled: pool.acquire("float32", [numPositions, model.width]),
  };
}

/** Adds the gradient of a table, from positions with labels, to a buffer; releases the factors. */
export async function addTableGradient(
  session: Session,
  { p, scaled }: TableGradient,
  labels: Int32Array,
  { buffer, table }: { readonly buffer: GradientBuffer; readonly table: Parameter },
): Promise<void> {
  const { pool, model } = session;
  const { key, make } = tableGradientProgram(model.width);
  const { program } = await session.compile(key, make);
  const { numOutputs } = model;
  for (const [i, label] of labels.entries()) p.data[i * numOutputs + label]! -= 1;
  await buffer.writeSlices(table, async (gradient, from) => {
    const count = sizeAt(gradient.shape, 0);
    const dLogits = pool.acquire("float32", [labels.length, count]);
    for (let i = 0; i < labels.length; i++) {
      const start = i * numOutputs + from;
      dLogits.data.set(p.data.subarray(start, start + count), i * count);
    }
    await program.run({ dLogits, scaled }, { gradient });
    pool.release(dLogits);
  });
  pool.release(p, scaled);
}

/** Describes the program for one slice without compiling it. */
export function tableGradientProgram(width: number): Makeable<null> {
  const make = (): MadeProgram<null> => {
    const graph = new Graph();
    const dLogits = graph.input("dLogits", "float32", ["N", "S"]);
    const scaled = graph.input("scaled", "float32", ["N", width]);
    const inputs = { dLogits, scaled };
    return {
      spec: { name: "head-table", inputs, outputs: { gradient: matmul(dLogits, scaled, { transA: true }) } },
      made: null,
    };
  };
  return { key: `head-table ${width}`, make };
}
