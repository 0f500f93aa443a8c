/**
 * @file A program: a cut through a graph, from the values that are given to the values that are wanted.
 *
 * Any value may be given, not only graph inputs: a backward program that is given saved activations runs from them, one that is
 * not given them recomputes. Nodes that the wanted values do not need are left out.
 */
import { Emitter, type Target } from "./emitter.ts";
import type { AnyNode, Value } from "./graph.ts";

/** A graph to compile: its nodes, and the inputs and outputs by name. */
export interface ProgramSpec {
  /** For messages and profiles. */
  readonly name: string;
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
  /**
   * Outputs that are updated in place: their names → the name of the input whose memory they share. The caller gives that tensor
   * only once, as the input.
   */
  readonly updates?: Readonly<Record<string, string>>;
}

/** Caches the nodes of programs: a plan counts them in several ways, for rows of several lengths. */
const KNOWN_NODES = new WeakMap<ProgramSpec, readonly AnyNode[]>();

/**
 * Lists the nodes that a program runs, in order; the result is cached and must not be changed. @throws TypeError when a needed
 * input is not given
 */
export function nodesOf(spec: ProgramSpec): readonly AnyNode[] {
  const nodes = KNOWN_NODES.get(spec) ?? findNodes(spec);
  KNOWN_NODES.set(spec, nodes);
  return nodes;
}

function findNodes(spec: ProgramSpec): AnyNode[] {
  const given = new Set(Object.values(spec.inputs));
  const nodes = new Set<AnyNode>();
  const open = Object.values(spec.outputs).filter((v) => !given.has(v));
  for (const value of open) {
    const { node } = value;
    if (!node) {
      if (value.graph.constantData.has(value)) continue;
      throw new TypeError(`Cannot build program "${spec.name}": input "${value.name}" is not given`);
    }
    if (nodes.has(node)) continue;
    nodes.add(node);
    for (const input of node.inputs) if (!given.has(input)) open.push(input);
  }
  return [...nodes].sort((a, b) => a.outputs[0].id - b.outputs[0].id);
}

/** Returns those of the named values that the outputs need. Used to find which activations a backward program reads. */
export function neededInputs(
  outputs: Readonly<Record<string, Value>>,
  candidates: Readonly<Record<string, Value>>,
): Record<string, Value> {
  const byValue = new Map(Object.entries(candidates).map(([name, value]) => [value, name]));
  const needed: Record<string, Value> = {};
  const seen = new Set<Value>();
  const open = Object.values(outputs);
  for (const value of open) {
    if (seen.has(value)) continue;
    seen.add(value);
    const name = byValue.get(value);
    if (name !== undefined) needed[name] = value;
    else if (value.node) open.push(...value.node.inputs);
  }
  return Object.fromEntries(Object.keys(candidates).flatMap((n) => (needed[n] ? [[n, needed[n]]] : [])));
}

/** Emits the ONNX nodes of a program. */
export function emitProgram(spec: ProgramSpec, target: Target): Emitter {
  const emitter = new Emitter(target);
  for (const [name, value] of Object.entries(spec.inputs)) emitter.setName(value, name);
  const given = new Map(Object.entries(spec.inputs).map(([name, value]) => [value, name]));
  // A value has one name, so an output that is also an input, a constant or another output becomes a copy.
  const named = new Set<Value>(given.keys());
  const copies: [name: string, value: Value][] = [];
  for (const [name, value] of Object.entries(spec.outputs)) {
    if (named.has(value) || !value.node) copies.push([name, value]);
    else emitter.setName(value, name);
    named.add(value);
  }
  for (const node of nodesOf(spec)) {
    // Of a node's outputs one may be wanted and another be an input: the latter is recomputed under a name that nothing reads.
    const recomputed = node.outputs.filter((value) => given.has(value));
    for (const value of recomputed) emitter.setName(value, emitter.temporary());
    node.op.emit(node, emitter);
    for (const value of recomputed) emitter.setName(value, given.get(value)!);
  }
  for (const [name, value] of copies) emitter.node("Identity", [emitter.name(value)], [name]);
  return emitter;
}
