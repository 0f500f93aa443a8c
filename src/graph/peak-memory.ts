/**
 * @file How much memory a program needs for the values between its inputs and its outputs, found without running it.
 *
 * Values are walked in the order in which ONNX Runtime executes the nodes: from each node that nobody reads backwards, the
 * latest input first. Before anything runs it has given each value its place: a few nodes write over an input that dies with
 * them, other shapes of the same elements are views, and a value takes the memory of a dead one of the same shape, which so
 * lives from the first to the last of those that lie in it. Inputs and outputs are the caller's memory.
 */
import { DTYPES } from "./dtype.ts";
import type { Target } from "./emitter.ts";
import type { AnyNode, TensorType, Value } from "./graph.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";
import { type Bindings, evaluateDim, evaluateSize, showShape } from "./shape.ts";

/** A symbol for the size of a part of some rows. Symbols of a whole run are single letters. */
const PART = /^[a-z]\w+$/;
/** A size that has a name. */
const SYMBOL = /^\w+$/;

/** Bytes of a tensor. */
export function sizeBytesOf({ dtype, shape }: TensorType, bindings: Bindings): number {
  return evaluateSize(shape, bindings) * DTYPES[dtype].sizeBytes;
}

/** Memory in which values lie one after another. */
interface Place {
  readonly sizeBytes: number;
  /** What may lie in it next; null: nothing, as ONNX Runtime does not know the shape. */
  readonly kind: string | null;
  /** Reads that are to come of what lies in it. */
  numReads: number;
  /** Numbers of the first node and of the last that need it. */
  readonly first: number;
  last: number;
}

/** Memory that a program asks for on a processor: at its peak. */
export function peakBytes(spec: ProgramSpec, bindings: Bindings, target: Target): number {
  const given = new Set(Object.values(spec.inputs));
  const order = runOrder(nodesOf(spec), given);
  const sizes = withUnknown(order, bindings);
  const own = order.map((node) => node.op.scratchBytes?.(node, sizes, target) ?? 0);
  const changes = new Float64Array(order.length + 1);
  for (const { sizeBytes, first, last } of placesOf(spec, order, sizes)) {
    changes[first]! += sizeBytes;
    changes[last + 1]! -= sizeBytes;
  }
  let [live, peak] = [0, 0];
  for (const [at, scratchBytes] of own.entries()) {
    live += changes[at]!;
    peak = Math.max(peak, live + scratchBytes);
  }
  return peak;
}

/** Gives the values of a program, whose nodes run in this order, their places. */
function placesOf(spec: ProgramSpec, order: readonly AnyNode[], sizes: Bindings): readonly Place[] {
  const callers = new Set([...Object.values(spec.inputs), ...Object.values(spec.outputs)]);
  const readers = new Map<Value, number>();
  for (const { inputs } of order) {
    for (const value of new Set(inputs)) readers.set(value, (readers.get(value) ?? 0) + 1);
  }
  const placeOf = new Map<Value, Place>();
  const all: Place[] = [];
  /** Those whose values are dead, the latest first. */
  const free: Place[] = [];
  const take = (at: number, sizeBytes: number, kind: string | null): Place => {
    const found = kind === null ? -1 : free.findIndex((place) => place.kind === kind);
    if (found >= 0) return free.splice(found, 1)[0]!;
    const made = { sizeBytes, kind, numReads: 0, first: at, last: at };
    all.push(made);
    return made;
  };
  for (const [at, node] of order.entries()) {
    const read = [...new Set(node.inputs)].flatMap((value) => placeOf.get(value) ?? []);
    const held = (node.op.heldBytes?.(node, sizes) ?? []).map((bytes, i) =>
      take(at, bytes, `${node.op.name} ${i} ${bytes}`),
    );
    for (const output of node.outputs) {
      if (callers.has(output)) continue;
      const sizeBytes = sizeBytesOf(output, sizes);
      const place =
        node.op.memory === "view"
          ? placeOf.get(node.inputs[0])
          : (overwritten(node, read, sizeBytes) ?? take(at, sizeBytes, kindOf(output)));
      // A view of what is the caller's.
      if (!place) continue;
      place.numReads += readers.get(output) ?? 0;
      placeOf.set(output, place);
    }
    for (const place of read) place.numReads--;
    const ended = new Set([...read, ...node.outputs.flatMap((value) => placeOf.get(value) ?? []), ...held]);
    for (const place of ended) {
      if (place.numReads > 0) continue;
      place.last = at;
      free.unshift(place);
    }
  }
  return all;
}

/** The place of an input that dies with a node which writes over it. */
function overwritten({ op }: AnyNode, read: readonly Place[], sizeBytes: number): Place | undefined {
  if (op.memory !== "in-place") return undefined;
  return read.find((place) => place.numReads === 1 && place.sizeBytes === sizeBytes);
}

/** What may lie in the place of a value: of sizes that are computed ONNX Runtime knows no name. */
function kindOf({ dtype, shape }: Value): string | null {
  const isKnown = shape.every((size) => typeof size === "number" || SYMBOL.test(size));
  return isKnown ? `${DTYPES[dtype].sizeBytes} ${showShape(shape)}` : null;
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
