/** @file One block of a model in float64: its output, and its gradients beside central differences. */
import assert from "node:assert/strict";
import { gradients } from "../../src/graph/autodiff.ts";
import type { Value } from "../../src/graph/graph.ts";
import { type ProgramSpec, neededInputs } from "../../src/graph/program.ts";
import { type Bindings, sizeAt } from "../../src/graph/shape.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import type { BuiltPart } from "../../src/models/graphs/built-part.ts";
import { PLAIN_PART, type PartOptions } from "../../src/models/graphs/part-options.ts";
import { FROZEN } from "../../src/models/graphs/site-graph.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { Random } from "../../src/random.ts";
import { PassContext, PassTables } from "../../src/run/context.ts";
import { BufferPool } from "../../src/runtime/memory/buffer-pool.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { Evaluation, evaluate } from "./evaluator.ts";
import { type Array64, count } from "../ops/array64.ts";
import { decode } from "../ops/host-arrays.ts";

/** Arrays by the names of a program's inputs. */
export type Feeds = Record<string, Array64>;

/** Copies a host tensor into float64. */
function widenTo64({ dtype, shape, data }: HostTensor): Array64 {
  return { shape, data: decode(dtype, data) };
}

/** Draws an array of standard normal numbers. */
export function normalArray(shape: readonly number[], random: Random): Array64 {
  return { shape, data: new Float64Array(count(shape)).map(() => random.normal()) };
}

/** What others give a block, told by the positions of the tokens alone. */
function linkFeeds({ part }: BuiltPart, numRows: number, length: number, past: number): Feeds {
  const entries = Object.entries(part.links.inputs).map(([name, { shape }]): [string, Array64] => {
    const width = sizeAt(shape, -1);
    const data = Float64Array.from({ length: numRows * length * width }, (_, i) =>
      Math.sin(past + (Math.floor(i / width) % length) + 2 * (i % width)),
    );
    return [name, { shape: [numRows, length, width], data }];
  });
  return Object.fromEntries(entries);
}

/** Positions, segments and rotary tables of rows of `length` tokens of one example each, as a block reads them. */
export function contextFeeds(block: BuiltPart, numRows: number, length: number, past = 0): Feeds {
  const total = past + length;
  const positions = BigInt64Array.from({ length: numRows * length }, (_, i) => BigInt(past + (i % length)));
  const segments = new Int32Array(numRows * length).fill(1);
  const keys = {
    positions: BigInt64Array.from({ length: numRows * total }, (_, i) => BigInt(i % total)),
    segments: new Int32Array(numRows * total).fill(1),
  };
  const facts = {
    numRows,
    length,
    positions,
    segments,
    keys,
    tokenTypes: null,
    textLengths: null,
    isPromptEnd: null,
  };
  const context = new PassContext(facts, new BufferPool(), new PassTables());
  const tensors = context.tensors(block.part);
  return {
    ...Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, widenTo64(tensor)])),
    ...linkFeeds(block, numRows, length, past),
  };
}

/** Weights of a block, and of the adapter on it, by the names of the block's inputs. */
export async function weightFeeds(
  base: BaseModel,
  adapter: Adapter | null,
  layer: number,
  { part }: BuiltPart,
): Promise<Feeds> {
  const feeds: Feeds = {};
  for (const name of Object.keys({ ...part.tensors, ...part.adapter })) {
    const tensor = adapter?.inputs(layer)[name] ?? (await base.values(base.model.tensorName(layer, name)));
    feeds[name] = widenTo64(tensor);
  }
  return feeds;
}

/** Builds a block with whatever adapter sits on it, not training. */
export function buildBlock(
  base: BaseModel,
  adapter: Adapter | null,
  layer: number,
  options: Partial<PartOptions> = {},
): BuiltPart {
  return base.model.buildBlock(layer, {
    ...PLAIN_PART,
    projector: adapter?.projector(layer) ?? FROZEN,
    chunk: { length: 64, count: 1 },
    ...options,
  });
}

/** All inputs of a block by name. */
function blockInputs({ x, part }: BuiltPart): Record<string, Value> {
  return { x, ...part.inputs() };
}

/** A program of some values of a block. */
export function blockProgram(
  block: BuiltPart,
  outputs: Readonly<Record<string, Value>>,
  more: Readonly<Record<string, Value>> = {},
): ProgramSpec {
  return { name: "block", inputs: neededInputs(outputs, { ...blockInputs(block), ...more }), outputs };
}

/** One entry of a gradient, computed and measured. */
interface CheckedEntry {
  readonly name: string;
  readonly exact: number;
  readonly difference: number;
}

/** The values on the way to y that the backward pass takes for constants: differences must hold them too. */
function heldValues(y: Value): Record<string, Value> {
  const seen = new Set<Value>([y]);
  // The set grows while it is walked through.
  for (const { node } of seen) for (const input of node?.inputs ?? []) seen.add(input);
  const found = [...seen].filter(({ node }) => node?.op.name === "stopGradient");
  return Object.fromEntries(found.map((value, i) => [`held${i}`, value]));
}

const STEP = 1e-5;
const ENTRIES_PER_INPUT = 1;

/** Asserts that entries of the gradient of a block, without some branches, equal central differences in float64; returns their names. */
export async function assertBlockGradient(...of: Parameters<typeof blockGradient>): Promise<string[]> {
  const entries = await blockGradient(...of);
  assert.ok(entries.length > 0);
  for (const { name, exact, difference } of entries) {
    const apart = Math.abs(exact - difference);
    assert.ok(apart <= 1e-6 * (1 + Math.abs(exact)), `${name}: ${exact}, differences ${difference}`);
  }
  return entries.map(({ name }) => name);
}

/**
 * Computes and measures an entry of the gradient of x and of every trained tensor of a block, for a random seed gradient.
 * Of branches that are dropped there is none, but for what other branches share with them.
 */
async function blockGradient(
  base: BaseModel,
  adapter: Adapter,
  layer: number,
  dropped: readonly string[] = [],
): Promise<CheckedEntry[]> {
  const random = new Random(17);
  const bindings: Bindings = { B: 2, T: 5 };
  const block = buildBlock(base, adapter, layer, { dropped: new Set(dropped) });
  const dy = block.part.graph.input("dy", "float32", block.y.shape);
  const candidates = Object.entries({ x: block.x, ...block.part.adapter, ...block.part.tensors }).filter(
    ([name]) => name === "x" || adapter.tensor(base.model.tensorName(layer, name)),
  );
  const all = gradients(
    [{ value: block.y, gradient: dy }],
    candidates.map(([, value]) => value),
  );
  const wanted = candidates.filter((_, i) => all[i]);
  const found = all.filter((value) => value !== null);
  const feeds: Feeds = {
    x: normalArray([2, 5, base.model.width], random),
    dy: normalArray([2, 5, base.model.width], random),
    ...contextFeeds(block, 2, 5),
    ...(await weightFeeds(base, adapter, layer, block)),
  };
  const outputs = Object.fromEntries(wanted.map(([name], i) => [`d.${name}`, found[i]!]));
  const exact = evaluate(blockProgram(block, outputs, { dy }), feeds, bindings);
  const held = heldValues(block.y);
  const constants = evaluate(blockProgram(block, held), feeds, bindings);
  const forward = new Evaluation(
    blockProgram(block, { y: block.y }, held),
    { ...feeds, ...constants },
    bindings,
  );
  const along = (name: string, place: number, by: number): number => {
    const x = feeds[name]!;
    const data = x.data.slice();
    data[place] = data[place]! + by;
    const { y } = forward.outputs({ [name]: { shape: x.shape, data } });
    return y!.data.reduce((sum, value, i) => sum + value * feeds["dy"]!.data[i]!, 0);
  };
  return wanted.flatMap(([name]) =>
    Array.from({ length: ENTRIES_PER_INPUT }, () => {
      const place = random.integer(count(feeds[name]!.shape));
      return {
        name: `${name}[${place}]`,
        exact: exact[`d.${name}`]!.data[place]!,
        difference: (along(name, place, STEP) - along(name, place, -STEP)) / (2 * STEP),
      };
    }),
  );
}
