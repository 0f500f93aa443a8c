/**
 * @file The program of several blocks on a cache: their graphs one behind the other, with operations put together where one
 * node of ONNX computes several. At one token a node takes some five microseconds, whatever it computes.
 */
import { Graph, type Value, applyAgain, notePlaces } from "../../graph/graph.ts";
import { gatherPages } from "../../graph/ops/rows/gather-pages.ts";
import { type ProgramSpec, neededInputs, nodesOf } from "../../graph/program.ts";
import { type Dim, knownShape } from "../../graph/shape.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import { PAST_KEY, PAST_VALUE } from "../../models/graphs/part-attention.ts";
import { operandNames } from "../../models/graphs/part-tensors.ts";
import { boundOf } from "../../run/arithmetic.ts";
import { foldFactors, fuseNorm } from "./fuse-norm.ts";
import { joinHeads } from "./join-heads.ts";
import { applyJoined, findJoined } from "./join-products.ts";
import { PAGE_TOKENS } from "../cache/page-pool.ts";
import type { CacheLayout } from "../cache/paged-pass.ts";

/** Name of a block's input or output in the program of its group. */
export function inBlock(index: number, name: string): string {
  return `${index}.${name}`;
}

/** Inputs or outputs of such a program that are one block's own, by their names in it, block by block. */
export function byBlock(
  numBlocks: number,
  values: Readonly<Record<string, Value>>,
): Readonly<Record<string, Value>>[] {
  const blocks = Array.from({ length: numBlocks }, (): Record<string, Value> => ({}));
  for (const [name, value] of Object.entries(values)) {
    const index = Number.parseInt(name, 10);
    const prefix = inBlock(index, "");
    if (name.startsWith(prefix)) blocks[index]![name.slice(prefix.length)] = value;
  }
  return blocks;
}

/** Joins blocks to one program: each takes the output of the one before. What belongs to the pass is shared. */
export function stackSpec(blocks: readonly BuiltPart[], layout: CacheLayout): ProgramSpec {
  const graph = new Graph();
  const inputs: Record<string, Value> = {};
  const outputs: Record<string, Value> = {};
  const updates: Record<string, string> = {};
  const share = (name: string, like: Value): Value =>
    (inputs[name] ??= graph.input(name, like.dtype, like.shape));
  let y: Value | null = null;
  for (const [index, block] of blocks.entries()) {
    const { passInputs, tables, attention } = block.part;
    const { outputs: made, past } = attention!;
    const { newKey, newValue } = made;
    const ends = { y: block.y, new_key: newKey, new_value: newValue };
    const given = neededInputs(ends, { x: block.x, ...block.part.inputs() });
    const places = new Map<Value, Value>();
    for (const [name, value] of Object.entries(given)) {
      const isShared = passInputs.has(name) || tables.has(name);
      if (name === "x") places.set(value, y ?? share("x", value));
      else if (name in past && layout === "pages") {
        const [, length, ...rest] = value.shape as [Dim, Dim, ...Dim[]];
        const pool = graph.input(inBlock(index, name), value.dtype, ["N", PAGE_TOKENS, ...rest]);
        inputs[inBlock(index, name)] = pool;
        inputs["pages"] ??= graph.input("pages", "int64", ["B", "M"]);
        places.set(value, gatherPages(pool, inputs["pages"], length));
      } else places.set(value, share(isShared ? name : inBlock(index, name), value));
    }
    const names = boundOf(block.part.readsOf(given)).flatMap(operandNames);
    const bound = new Set(names.map((name) => given[name]));
    const isBound = (value: Value): boolean => bound.has(value);
    copyNodes({ name: "block", inputs: given, outputs: ends }, graph, places, isBound);
    const placeOf = (value: Value): Value => places.get(value)!;
    y = placeOf(block.y);
    outputs[inBlock(index, "new_key")] = placeOf(newKey);
    outputs[inBlock(index, "new_value")] = placeOf(newValue);
    if (layout === "heads") {
      updates[inBlock(index, "new_key")] = inBlock(index, PAST_KEY);
      updates[inBlock(index, "new_value")] = inBlock(index, PAST_VALUE);
    }
  }
  return { name: "block-stack", inputs, outputs: { ...outputs, y: y! }, updates };
}

/** Applies the operations of a program again in another graph; `places` tells and learns which value became which. */
function copyNodes(
  spec: ProgramSpec,
  graph: Graph,
  places: Map<Value, Value>,
  isBound: (value: Value) => boolean,
): void {
  const placeOf = (value: Value): Value => {
    const place = places.get(value);
    if (place) return place;
    const data = value.graph.constantData.get(value);
    if (!data) throw new RangeError(`Cannot copy value ${value.id}: nothing before it makes it`);
    return graph.constant(value.dtype, knownShape(value.shape), data);
  };
  const nodes = nodesOf(spec);
  const joined = findJoined(nodes, isBound);
  const readers = new Map<Value, number>();
  for (const value of [...Object.values(spec.outputs), ...nodes.flatMap(({ inputs }) => inputs)])
    readers.set(value, (readers.get(value) ?? 0) + 1);
  for (const node of nodes) {
    if (places.has(node.outputs[0])) continue;
    if (fuseNorm(node, readers, places) || foldFactors(node, readers, places) || joinHeads(node, places))
      continue;
    const group = joined.get(node);
    if (group) {
      const values = group.map(({ outputs: [output] }) => output);
      notePlaces(places, values, applyJoined(group, graph, placeOf));
      continue;
    }
    applyAgain(node, graph, node.inputs.map(placeOf), places);
  }
}
