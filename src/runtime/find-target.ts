/**
 * @file Finds the properties of the processor that programs are written for. A small product is tried, so no list of processors
 * is needed.
 */
import { PLAIN_TARGET, type Target } from "../graph/emitter.ts";
import { Graph } from "../graph/graph.ts";
import { INT8_LARGEST } from "../graph/ops/products/int8-nodes.ts";
import { matmulInt8 } from "../graph/ops/products/matmul-int8.ts";
import type { Engine } from "./engine.ts";
import { hostTensor, zeros } from "./host-tensor.ts";
import { madeOnce } from "./made-once.ts";

/** Rows, inputs and outputs of the product that is tried: several rows, since some kernels multiply a single one in another way. */
const [ROWS, IN, OUT] = [4, 32, 16];
/** Relative error allowed; a sum that has overflowed is half as large as it should be. */
const TOLERANCE = 0.1;

/** Measures once, at the first call; a failed attempt is repeated at the next one. `compileFor` compiles for a target. */
export function findTarget(compileFor: (target: () => Target) => Engine["compile"]): () => Promise<Target> {
  const found = new Map<"target", Promise<Target>>();
  return () => madeOnce(found, "target", () => tryBytePairs(compileFor(() => PLAIN_TARGET)));
}

/** Multiplies the largest rows by the largest codes, which gives the largest possible sums. */
async function tryBytePairs(compile: Engine["compile"]): Promise<Target> {
  const graph = new Graph();
  const x = graph.input("x", "float32", [ROWS, IN]);
  const codes = graph.input("codes", "int8", [IN, OUT]);
  const scales = graph.input("scales", "float32", [OUT]);
  const outputs = { y: matmulInt8(x, codes, scales) };
  const program = await compile({ name: "byte-pairs", inputs: { x, codes, scales }, outputs });
  const y = zeros("float32", [ROWS, OUT]);
  const feeds = {
    x: hostTensor("float32", [ROWS, IN], new Float32Array(ROWS * IN).fill(1)),
    codes: hostTensor("int8", [IN, OUT], new Int8Array(IN * OUT).fill(INT8_LARGEST)),
    scales: hostTensor("float32", [OUT], new Float32Array(OUT).fill(1 / INT8_LARGEST)),
  };
  await program.run(feeds, { y });
  await program.release();
  return { bytePairsOverflow: y.data.some((sum) => Math.abs(sum / IN - 1) > TOLERANCE) };
}
