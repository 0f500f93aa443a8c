/** @file Counts how much a program computes: multiplications of its matrix products, and bytes that its nodes read and write. */
import { sizeBytesOf, withUnknown } from "./peak-memory.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";
import type { Bindings } from "./shape.ts";

export interface Work {
  /** Multiplications of matrix products, by kind of numbers. */
  readonly float32: number;
  readonly int8: number;
  readonly movedBytes: number;
}

export const NO_WORK: Work = { float32: 0, int8: 0, movedBytes: 0 };

/** Adds up. */
export function addWork(a: Work, b: Work): Work {
  return { float32: a.float32 + b.float32, int8: a.int8 + b.int8, movedBytes: a.movedBytes + b.movedBytes };
}

/** Multiplies. */
export function scaleWork({ float32, int8, movedBytes }: Work, factor: number): Work {
  return { float32: float32 * factor, int8: int8 * factor, movedBytes: movedBytes * factor };
}

/** Counts the work of a run with these sizes. */
export function workOf(spec: ProgramSpec, bindings: Bindings): Work {
  const nodes = nodesOf(spec);
  const sizes = withUnknown(nodes, bindings);
  const sum = { ...NO_WORK };
  for (const node of nodes) {
    if (node.op.memory === "view") continue;
    for (const value of [...node.inputs, ...node.outputs]) sum.movedBytes += sizeBytesOf(value, sizes);
    const products = node.op.multiplications?.(node, sizes);
    if (products) sum[products.kind] += products.count;
  }
  return sum;
}
