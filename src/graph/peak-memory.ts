/**
 * @file How much memory a program needs for the values between its inputs and its outputs, found without running it.
 *
 * Values are walked in the order in which ONNX Runtime executes the nodes: from each node that nobody reads backwards, the
 * latest input first. A value lives from the node that makes it to the last that reads it; element-wise nodes write over
 * an input that dies with them, other shapes of the same elements are views. Inputs and outputs are the caller's memory.
 */
import { DTYPES } from "./dtype.ts";
import type { Target } from "./emitter.ts";
import type { AnyNode, TensorType, Value } from "./graph.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";
import { type Bindings, evaluateDim, evaluateSize } from "./shape.ts";

/** A symbol for the size of a part of some rows. Symbols of a whole run are single letters. */
const PART = /^[a-z]\w+$/;

/** Bytes of a tensor. */
export function sizeBytesOf({ dtype, shape }: TensorType, bindings: Bindings): number {
  return evaluateSize(shape, bindings) * DTYPES[dtype].sizeBytes;
}

/** Memory that a program asks for on a processor: at its peak. */
export function peakBytes(spec: ProgramSpec, bindings: Bindings, target: Target): number {
  const given = new Set(Object.values(spec.inputs));
  const outputs = new Set(Object.values(spec.outputs));
  const order = runOrder(nodesOf(spec), given);
  const ownerOf = new Map<Value, Value>();
  const owner = (value: Value): Value => ownerOf.get(value) ?? value;
  const isOurs = (value: Value): boolean => !given.has(value) && !outputs.has(value) && value.node !== null;
  const readers = new Map<Value, number>();
  // By node: the memory that it reads, and how many of its inputs lie there.
  const reads = order.map((node) => {
    const [input] = node.inputs;
    if (node.op.memory === "view" && input) ownerOf.set(node.outputs[0], owner(input));
    const own = new Map<Value, number>();
    for (const memory of [...new Set(node.inputs)].map(owner)) own.set(memory, (own.get(memory) ?? 0) + 1);
    for (const [value, by] of own) readers.set(value, (readers.get(value) ?? 0) + by);
    return own;
  });
  const sizes = withUnknown(order, bindings);
  const known = new Map<Value, number>();
  const bytes = (value: Value): number => {
    const size = known.get(value) ?? sizeBytesOf(value, sizes);
    known.set(value, size);
    return size;
  };
  let [live, peak] = [0, 0];
  const free = (value: Value): void => {
    if (isOurs(value)) live -= bytes(value);
  };
  for (const [i, node] of order.entries()) {
    const read = [...reads[i]!];
    const dying = read.flatMap(([value, by]) => (isOurs(value) && readers.get(value) === by ? [value] : []));
    const overwritten = new Set<Value>();
    for (const output of node.outputs) {
      if (owner(output) !== output || !isOurs(output)) continue;
      const place =
        node.op.memory === "in-place"
          ? dying.find((value) => !overwritten.has(value) && bytes(value) === bytes(output))
          : undefined;
      if (place) overwritten.add(place);
      else live += bytes(output);
    }
    peak = Math.max(peak, live + (node.op.scratchBytes?.(node, sizes, target) ?? 0));
    for (const [value, by] of read) {
      const left = readers.get(value)! - by;
      readers.set(value, left);
      if (left === 0 && !overwritten.has(value)) free(value);
    }
    // An output that nobody reads is freed at once.
    for (const output of node.outputs) if (owner(output) === output && !readers.get(output)) free(output);
  }
  return peak;
}

/** Estimates the sizes of parts of rows, which only a run knows, as equal shares. */
export function withUnknown(nodes: readonly AnyNode[], bindings: Bindings): Bindings {
  const sizes: Record<string, number> = { ...bindings };
  for (const { inputs, outputs } of nodes) {
    for (const { shape } of outputs) {
      const [rows] = shape;
      if (typeof rows !== "string" || !PART.test(rows) || rows in sizes) continue;
      sizes[rows] = Math.ceil(evaluateDim(inputs[0]?.shape[0] ?? 0, sizes) / outputs.length);
    }
  }
  return sizes;
}

/** The order in which ONNX Runtime executes nodes: depth first from those that nobody reads. */
function runOrder(nodes: readonly AnyNode[], given: ReadonlySet<Value>): AnyNode[] {
  const place = new Map(nodes.map((node, i) => [node, i]));
  const before = new Map(
    nodes.map((node) => {
      const made = node.inputs.flatMap((value) => (value.node && !given.has(value) ? [value.node] : []));
      return [node, [...new Set(made)].sort((a, b) => place.get(a)! - place.get(b)!)];
    }),
  );
  const isRead = new Set([...before.values()].flat());
  const open = nodes.filter((node) => !isRead.has(node)).map((node) => ({ node, isDone: false }));
  const seen = new Set<AnyNode>();
  const order: AnyNode[] = [];
  for (let entry = open.pop(); entry; entry = open.pop()) {
    const { node, isDone } = entry;
    if (isDone) order.push(node);
    if (isDone || seen.has(node)) continue;
    seen.add(node);
    open.push({ node, isDone: true });
    for (const each of before.get(node)!) if (!seen.has(each)) open.push({ node: each, isDone: false });
  }
  return order;
}
