/**
 * @file The program of several blocks on a cache: their graphs in sequence, with operations fused where one ONNX node computes
 * several. For one token a node takes some five microseconds, whatever it computes.
 */
import {
  Graph,
  type Value,
  applyAgain,
  notePlaces,
  placeIn,
  type AnyNode,
  isNodeOf,
} from "../../graph/graph.ts";
import { gatherPages } from "../../graph/ops/rows/gather-pages.ts";
import { type ProgramSpec, neededInputs, nodesOf } from "../../graph/program.ts";
import type { Dim } from "../../graph/shape.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { OTHER_KEY, OTHER_VALUE } from "../../models/graphs/part-links.ts";
import { PAST_KEY, PAST_VALUE } from "../../models/graphs/part-attention.ts";
import { nextStates } from "../../models/graphs/part-state.ts";
import { operandNames } from "../../models/graphs/part-tensors.ts";
import { boundOf } from "../../run/arithmetic.ts";
import { foldFactors, fuseNorm } from "./fuse-norm.ts";
import { applyJoined, findJoined } from "./join-products.ts";
import { PAGE_TOKENS } from "../cache/page-pool.ts";
import type { CacheLayout } from "../cache/paged-pass.ts";
import { attendJoined, cachedAttentionOp } from "../../graph/ops/attention/cached-attention.ts";

/** Name of a block's input or output in the program of its group. */
export function inBlock(index: number, name: string): string {
  return `${index}.${name}`;
}

/** Inputs or outputs of a group's program that belong to one block, with their names in the block, for each block. */
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

/**
 * Joins blocks into one program: each reads the output of the one before. Inputs of the pass are shared. `keysFrom`: for each
 * block, the index of the block whose keys and values it reads; -1: one of another program, null: its own.
 */
export function stackSpec(
  blocks: readonly BuiltPart[],
  layout: CacheLayout,
  keysFrom: readonly (number | null)[] = blocks.map(() => null),
): ProgramSpec {
  const stack = new Stack(layout);
  for (const [index, block] of blocks.entries()) stack.add(block, keysFrom[index] ?? null);
  return stack.spec();
}

/** Keys and values of new tokens. */
interface NewRows {
  readonly key: Value;
  readonly value: Value;
}

/** Builds a program of blocks in sequence. */
class Stack {
  readonly #layout: CacheLayout;
  readonly #graph = new Graph();
  readonly #inputs: Record<string, Value> = {};
  readonly #outputs: Record<string, Value> = {};
  readonly #updates: Record<string, string> = {};
  /** Keys or values of earlier tokens, by the name of the input that they are gathered from. */
  readonly #gathered = new Map<string, Value>();
  /** New keys and values of each block so far. */
  readonly #rows: NewRows[] = [];
  /** Output of the last block; null: there is none yet. */
  #y: Value | null = null;

  constructor(layout: CacheLayout) {
    this.#layout = layout;
  }

  spec(): ProgramSpec {
    return {
      name: "block-stack",
      inputs: this.#inputs,
      outputs: { ...this.#outputs, y: this.#y! },
      updates: this.#updates,
    };
  }

  add({ part, x, y }: BuiltPart, keysFrom: number | null): void {
    const index = this.#rows.length;
    const { newKey, newValue } = part.cache!.outputs;
    const states = nextStates(part.states);
    const own = keysFrom === null ? { new_key: newKey, new_value: newValue } : {};
    const ends = { y, ...own, ...states };
    const given = neededInputs(ends, { x, ...part.inputs() });
    const places = new Map<Value, Value>();
    const other = keysFrom === null ? undefined : this.#rows[keysFrom];
    const ofOther = new Map(
      other && [
        [OTHER_KEY, other.key],
        [OTHER_VALUE, other.value],
      ],
    );
    // A block that reads another's keys reads those of earlier tokens from that block's cache.
    const cacheOf = other ? keysFrom! : index;
    for (const [name, value] of Object.entries(given))
      places.set(value, ofOther.get(name) ?? this.#given(index, name, value, { part, cacheOf }));
    const names = boundOf(part.readsOf(given)).flatMap(operandNames);
    const bound = new Set(names.map((name) => given[name]));
    const isBound = (value: Value): boolean => bound.has(value);
    copyNodes({ name: "block", inputs: given, outputs: ends }, this.#graph, places, isBound);
    this.#y = places.get(y)!;
    this.#rows.push(other ?? { key: places.get(newKey)!, value: places.get(newValue)! });
    for (const [name, value] of Object.entries(own)) this.#outputs[inBlock(index, name)] = places.get(value)!;
    for (const [name, state] of Object.entries(states))
      this.#outputs[inBlock(index, name)] = places.get(state)!;
    // What layers without attention keep is not updated in place: its new values are separate outputs.
    if (this.#layout !== "heads" || !part.attention) return;
    this.#updates[inBlock(index, "new_key")] = inBlock(index, PAST_KEY);
    this.#updates[inBlock(index, "new_value")] = inBlock(index, PAST_VALUE);
  }

  /** Makes what a block reads as one of its inputs. */
  #given(
    index: number,
    name: string,
    like: Value,
    { part, cacheOf }: { readonly part: PartGraph; readonly cacheOf: number },
  ): Value {
    const { passInputs, tables, attention } = part;
    if (name === "x") return this.#y ?? this.#input(name, like);
    if (attention && name in attention.past && this.#layout === "pages")
      return this.#pages(inBlock(cacheOf, name), like);
    const isShared = passInputs.has(name) || tables.has(name);
    return this.#input(isShared ? name : inBlock(index, name), like);
  }

  #input(name: string, { dtype, shape }: Value): Value {
    return (this.#inputs[name] ??= this.#graph.input(name, dtype, shape));
  }

  /** Keys or values of earlier tokens, gathered from the pages of all texts. */
  #pages(name: string, { dtype, shape }: Value): Value {
    const known = this.#gathered.get(name);
    if (known) return known;
    const [, length, ...rest] = shape as [Dim, Dim, ...Dim[]];
    const pool = this.#graph.input(name, dtype, ["N", PAGE_TOKENS, ...rest]);
    this.#inputs[name] = pool;
    this.#inputs["pages"] ??= this.#graph.input("pages", "int64", ["B", "M"]);
    const gathered = gatherPages(pool, this.#inputs["pages"], length);
    this.#gathered.set(name, gathered);
    return gathered;
  }
}

/**
 * Copies the operations of a program into another graph; `places` maps values of the program to those of the graph and is
 * extended.
 */
function copyNodes(
  spec: ProgramSpec,
  graph: Graph,
  places: Map<Value, Value>,
  isBound: (value: Value) => boolean,
): void {
  const placeOf = (value: Value): Value => placeIn(graph, value, places);
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

/** Applies attention with joined heads, if possible; `places`: the value of the new graph for each old one. */
function joinHeads(node: AnyNode, places: Map<Value, Value>): boolean {
  if (!isNodeOf(node, cachedAttentionOp)) return false;
  const inputs = node.inputs.map((value) => places.get(value));
  if (!inputs.every((value) => value !== undefined)) return false;
  const made = attendJoined(inputs, node.attributes);
  if (made) notePlaces(places, node.outputs, made);
  return made !== null;
}
