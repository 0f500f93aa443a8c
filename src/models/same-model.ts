/** @file Whether two configurations mean the same model: the same tensors, and parts that compute the same from them. */
import { nodesOf } from "../graph/program.ts";
import type { Value } from "../graph/graph.ts";
import { type RopeConfig, ropeFrequencies } from "../nn/rope/rope-tables.ts";
import type { BuiltPart } from "./graphs/built-part.ts";
import type { Model } from "./model.ts";
import { PLAIN_PART } from "./graphs/part-options.ts";

/** Numbers in files have as many digits as float32 holds. */
const DIGITS = 6;

const rounded = (_key: string, value: unknown): unknown =>
  typeof value === "number" ? Number(value.toPrecision(DIGITS)) : value;

/** Writes values, numbers as far as files hold them. */
export const show = (value: unknown): string => JSON.stringify(value, rounded);

/** How heads are rotated at the first position and at the last: the same however it is called. */
export function ropeOf(rope: RopeConfig, maxPositions: number): unknown {
  return [1, maxPositions].map((numPositions) => ropeFrequencies(rope, numPositions));
}

/** Says all that a part computes: its nodes in order, their inputs by place. */
function say({ part, x, y }: BuiltPart): string {
  const places = new Map<Value, number>();
  const place = (value: Value): number => places.get(value) ?? places.set(value, places.size).size - 1;
  const tables = new Set([...part.tables.values()].map(({ value }) => value));
  const input = (value: Value): unknown => {
    if (value.node) return place(value);
    const data = value.graph.constantData.get(value);
    // Tables of rotation are named by their configuration, and compared by their numbers.
    return data ? [...data].map(Number) : tables.has(value) ? "table" : value.name;
  };
  const nodes = nodesOf({ name: "part", inputs: { ...part.inputs(), x }, outputs: { y } });
  return show(
    nodes.map(({ op, inputs, attributes, outputs }) => [
      op.name,
      attributes,
      inputs.map(input),
      outputs.map(place),
    ]),
  );
}

/** Names the first thing in which two models differ; null for none. */
export function findDifference(a: Model, b: Model): string | null {
  const listTensors = ({ tensors }: Model): string[] =>
    [...tensors.values()].map(({ name, shape }) => show([name, shape])).sort();
  const [tensorsOfA, tensorsOfB] = [listTensors(a), listTensors(b)];
  const tensor = tensorsOfA.find((other, i) => other !== tensorsOfB[i]);
  if (tensor !== undefined || tensorsOfA.length !== tensorsOfB.length) return `tensor ${tensor ?? "list"}`;
  if (a.maxPositions !== b.maxPositions) return "the number of positions";
  const seen = new Set<string>();
  for (const [i, { kind, attention }] of a.layers.entries()) {
    const other = b.layers[i];
    const kinds = `${kind} ${other?.kind}`;
    if (seen.has(kinds)) continue;
    seen.add(kinds);
    const { rope, ...options } = attention ?? { rope: null };
    const { rope: otherRope, ...otherOptions } = other?.attention ?? { rope: null };
    const found = Object.entries(options).find(
      ([key, value]) => show(value) !== show((otherOptions as Record<string, unknown>)[key]),
    );
    if (found) return `the ${found[0]} of attention in layer ${i}`;
    const ropes = [rope, otherRope].map((one) => one && show(ropeOf(one, a.maxPositions)));
    if (ropes[0] !== ropes[1]) return `the rotation of heads in layer ${i}`;
    if (say(a.buildBlock(i, PLAIN_PART)) !== say(b.buildBlock(i, PLAIN_PART)))
      return `what layer ${i} computes`;
  }
  if (say(a.buildStem(PLAIN_PART)) !== say(b.buildStem(PLAIN_PART))) return "what its stem computes";
  if (say(a.buildHead(PLAIN_PART)) !== say(b.buildHead(PLAIN_PART))) return "what its head computes";
  return null;
}
