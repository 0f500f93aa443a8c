/**
 * @file Estimates, without running a program, how much memory it needs for the values between its inputs and outputs.
 *
 * Values are walked in the order in which ONNX Runtime executes the nodes: depth first from each node whose outputs nothing
 * reads, the latest input first. ONNX Runtime assigns memory in advance: a few nodes overwrite an input that dies with them,
 * reshapes are views, and a value reuses the memory of a dead one of the same shape, which therefore stays occupied from the
 * first to the last value in it. Inputs and outputs are the caller's memory.
 */
import { DTYPES } from "./dtype.ts";
import type { Target } from "./emitter.ts";
import type { AnyNode, TensorType, Value } from "./graph.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";
import { type Bindings, evaluateDim, evaluateSize, showShape } from "./shape.ts";

/** A symbol for the number of rows in a part, known only in a run. Symbols that callers bind are single letters. */
const PART = /^[a-z]\w+$/;
/** A size that is a single symbol. */
const SYMBOL = /^\w+$/;

/** Bytes of a tensor. */
export function sizeBytesOf({ dtype, shape }: TensorType, bindings: Bindings): number {
  return evaluateSize(shape, bindings) * DTYPES[dtype].sizeBytes;
}

/** Memory that values occupy one after another. */
interface Place {
  readonly sizeBytes: number;
  /** The kind of values that may reuse it; null: none, as ONNX Runtime does not know the shape. */
  readonly kind: string | null;
  /** Remaining reads of the values in it. */
  numReads: number;
  /** Indices of the first and the last node that need it. */
  readonly first: number;
  last: number;
}

/** Returns the bytes that a program needs at its peak. */
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

/** Assigns memory to the values of a program whose nodes run in this order. */
function placesOf(spec: ProgramSpec, order: readonly AnyNode[], sizes: Bindings): readonly Place[] {
  const callers = new Set([...Object.values(spec.inputs), ...Object.values(spec.outputs)]);
  const readers = new Map<Value, number>();
  for (const { inputs } of order) {
    for (const value of new Set(inputs)) readers.set(value, (readers.get(value) ?? 0) + 1);
  }
  const placeOf = new Map<Value, Place>();
  const all: Place[] = [];
  /** Places whose values are dead, the most recently freed first. */
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
      // A view of the caller's memory.
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

/** Returns the place of an input that dies with the node, if the node overwrites it. */
function overwritten({ op }: AnyNode, read: readonly Place[], sizeBytes: number): Place | undefined {
  if (op.memory !== "in-place") return undefined;
  return read.find((place) => place.numReads === 1 && place.sizeBytes === sizeBytes);
}

/** The kind of values that may reuse a value's memory; null where a size is an expression, which ONNX Runtime cannot compare. */
function kindOf({ dtype, shape }: Value): string | null {
  const isKnown = shape.every((size) => typeof size === "number" || SYMBOL.test(size));
  return isKnown ? `${DTYPES[dtype].sizeBytes} ${showShape(shape)}` : null;
}

/** Estimates sizes of parts, which only a run knows, as equal shares of the rows. */
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

/** Returns the order in which ONNX Runtime executes nodes: depth first from those whose outputs nothing reads. */
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
