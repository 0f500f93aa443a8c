/** @file Compares the models of two configurations: they must have the same tensors and compute the same from them. */
import { nodesOf } from "../graph/program.ts";
import type { Value } from "../graph/graph.ts";
import { type RopeConfig, ropeFrequencies } from "../nn/rope/rope-tables.ts";
import type { BuiltPart } from "./graphs/built-part.ts";
import type { Model } from "./model.ts";
import { PLAIN_PART } from "./graphs/part-options.ts";

/** Significant digits that are compared, as files hold float32 numbers. */
const DIGITS = 6;

const rounded = (_key: string, value: unknown): unknown =>
  typeof value === "number" ? Number(value.toPrecision(DIGITS)) : value;

/** Writes values as text, with numbers rounded to those digits. */
export const show = (value: unknown): string => JSON.stringify(value, rounded);

/** The rotation of heads with one position and with the most positions; equal for equal rotations, whatever their settings are called. */
export function ropeOf(rope: RopeConfig, maxPositions: number): unknown {
  return [1, maxPositions].map((numPositions) => ropeFrequencies(rope, numPositions));
}

/** Describes everything that a part computes: its nodes in order, with numbered values. */
function say({ part, x, y }: BuiltPart): string {
  const places = new Map<Value, number>();
  const place = (value: Value): number => places.get(value) ?? places.set(value, places.size).size - 1;
  const tables = new Set([...part.tables.values()].map(({ value }) => value));
  const input = (value: Value): unknown => {
    if (value.node) return place(value);
    const data = value.graph.constantData.get(value);
    // The names of rotary tables contain their configuration, so they are left out here and compared by `ropeOf`.
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
