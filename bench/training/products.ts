/**
 * @file How long the bare matrix products of a training step take: what the machine leaves no way around.
 *
 * Counted: x Wᵀ and dY W of every projection of every block, the two attention products and their four gradients, and
 * the head forward and backward at the labelled positions. Not counted: gradients of frozen weights, which nobody
 * computes, and the thin products of an adapter. Each product runs alone, with the weights as run-time inputs.
 *
 *   node bench/training/products.ts FOLDER ROWS LENGTH THREADS        prints {"seconds", "flop"}
 *
 * A process of its own, like every other side, so that nothing of it stays behind while the others run.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Graph } from "../../src/graph/graph.ts";
import { matmul } from "../../src/graph/ops/products/matmul.ts";
import { openModel } from "../../src/models/families.ts";
import type { ModelLayer } from "../../src/models/model-layer.ts";
import type { Model } from "../../src/models/model.ts";
import { Random } from "../../src/random.ts";
import { HEAD_CHUNK } from "../../src/run/head/label-head.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { type HostTensor, hostTensor, zeros } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { ownStart } from "../../test/process/own-start.ts";
import { runChild } from "../harness/child.ts";

/** op(A) · op(B), and how often a step runs it. */
interface Product {
  readonly name: string;
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly transA: boolean;
  readonly transB: boolean;
  readonly timesPerStep: number;
}

/** Times the products of the model in a Hugging Face folder, in a process of its own. */
export async function measureProductsOf(
  folder: string,
  numRows: number,
  length: number,
  threads: number,
): Promise<ProductCost> {
  const args = [fileURLToPath(import.meta.url), folder, ...[numRows, length, threads].map(String)];
  // Pages of memory of the same size on both sides.
  const { GLIBC_TUNABLES = "" } = ownStart().env;
  const environment = { GLIBC_TUNABLES };
  const { events } = await runChild(process.execPath, args, { environment });
  return events[0]?.value as unknown as ProductCost;
}

/** Seconds and floating-point operations of all products of a step. */
interface ProductCost {
  readonly seconds: number;
  readonly flop: number;
}

/** The least of them counts: a lone product often waits for a processor, which in a step the next one uses. */
const TIMED_RUNS = 15;

/** Lists the products of a step on `numRows` rows of `length` tokens with a label at all but the first. */
export function stepProducts(
  { layers, width: D, numOutputs: V }: Model,
  numRows: number,
  length: number,
): Product[] {
  const numChunks = (numRows * (length - 1)) / HEAD_CHUNK;
  const head = { transA: false, timesPerStep: numChunks };
  return [
    // Layers of one kind have equal sizes.
    ...[...new Set(layers.map(({ kind }) => kind))].flatMap((kind) => {
      const alike = layers.filter((layer) => layer.kind === kind);
      return layerProducts(alike[0]!, alike.length, numRows, length);
    }),
    { ...head, name: "head forward", a: [HEAD_CHUNK, D], b: [V, D], transB: true },
    { ...head, name: "head dX", a: [HEAD_CHUNK, V], b: [V, D], transB: false },
  ];
}

function layerProducts(
  { sites, attention: heads }: ModelLayer,
  timesPerStep: number,
  numRows: number,
  length: number,
): Product[] {
  const N = numRows * length;
  const products: Product[] = sites.flatMap(({ name, inFeatures, outFeatures }) => {
    const weight = [outFeatures, inFeatures];
    const forward = { name: `${name} forward`, a: [N, inFeatures], transB: true };
    const back = { name: `${name} dX`, a: [N, outFeatures], transB: false };
    return [forward, back].map((product) => ({ ...product, b: weight, transA: false, timesPerStep }));
  });
  if (!heads) return products;
  const { numHeads: H, numKeyValueHeads: K, headWidth: E } = heads;
  const queries = [numRows, K, (H / K) * length, E]; // the heads of a group share one product
  const keys = [numRows, K, length, E];
  const scores = [numRows, K, (H / K) * length, length];
  const attention: readonly (readonly [string, readonly number[], readonly number[], boolean, boolean])[] = [
    ["scores", queries, keys, false, true],
    ["mix", scores, keys, false, false],
    ["d scores", queries, keys, false, true],
    ["d values", scores, queries, true, false],
    ["d queries", scores, keys, false, false],
    ["d keys", scores, queries, true, false],
  ];
  for (const [name, a, b, transA, transB] of attention)
    products.push({ name: `attention ${name}`, a, b, transA, transB, timesPerStep });
  return products;
}

function resultShape({ a, b, transA, transB }: Product): number[] {
  return [...a.slice(0, -2), a.at(transA ? -1 : -2) ?? 0, b.at(transB ? -2 : -1) ?? 0];
}

/** Floating-point operations of one run: a multiplication and an addition each count. */
export function productFlop(product: Product): number {
  const inner = product.a.at(product.transA ? -2 : -1) ?? 0;
  return 2 * numElements(resultShape(product)) * inner;
}

function drawn(shape: readonly number[], random: Random): HostTensor<"float32"> {
  // Far from denormal numbers, which would slow the processor.
  const data = Float32Array.from({ length: numElements(shape) }, () => random.uniform() - 0.5);
  return hostTensor("float32", shape, data);
}

async function timeProduct(product: Product, engine: Engine, random: Random): Promise<number> {
  const graph = new Graph();
  const a = graph.input("a", "float32", product.a);
  const b = graph.input("b", "float32", product.b);
  const { transA, transB } = product;
  const c = matmul(a, b, { transA, transB });
  const program = await engine.compile({ name: "product", inputs: { a, b }, outputs: { c } });
  const feeds = { a: drawn(product.a, random), b: drawn(product.b, random) };
  const into = { c: zeros("float32", resultShape(product)) };
  await program.run(feeds, into);
  const seconds: number[] = [];
  for (let run = 0; run < TIMED_RUNS; run++) {
    const start = performance.now();
    await program.run(feeds, into);
    seconds.push((performance.now() - start) / 1000);
  }
  await program.release();
  return Math.min(...seconds);
}

/** Times every product alone and adds them up for one step. */
async function measureProducts(products: readonly Product[], threads: number): Promise<ProductCost> {
  const engine = createEngine(threads > 0 ? { threads } : {});
  const random = new Random(1);
  const cost = { seconds: 0, flop: 0 };
  for (const product of products) {
    cost.seconds += product.timesPerStep * (await timeProduct(product, engine, random));
    cost.flop += product.timesPerStep * productFlop(product);
  }
  return cost;
}

async function main([folder = "", numRows, length, threads]: readonly string[]): Promise<void> {
  const raw = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
  const products = stepProducts(openModel(raw), Number(numRows), Number(length));
  process.stdout.write(`${JSON.stringify(await measureProducts(products, Number(threads)))}\n`);
}

if (import.meta.main) await main(process.argv.slice(2));
