/**
 * @file Measures how fast a machine does the work that steps consist of: a product of many rows in each arithmetic, a sum, and
 * converting stored weights to float32.
 */
import { Graph, type Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { matmul } from "../../graph/ops/products/matmul.ts";
import { matmulInt8 } from "../../graph/ops/products/matmul-int8.ts";
import { workOf } from "../../graph/program-work.ts";
import { evaluateShape } from "../../graph/shape.ts";
import { float32ToBfloat16, widenBfloat16 } from "../../quant/codes/half.ts";
import type { Engine } from "../../runtime/engine.ts";
import { zeros } from "../../runtime/host-tensor.ts";
import { processorMs } from "../power/processor-ms.ts";
import type { MachineRates } from "./step-time.ts";

/** Rows of a micro-batch, and sizes of a matrix, as in small models. */
const [ROWS, IN, OUT] = [512, 768, 2048];
/** Elements of a vector larger than the processor's caches. */
const LENGTH = 8_000_000;
/** Time for each measurement, a first run not counted. */
const TRY_MS = 600;

/** Least processor time as a share of elapsed time, below which other programs disturbed it: even a single thread would reach 1. */
const LEAST_SHARE = 0.8;

export interface MeasuredRates {
  readonly rates: MachineRates;
  /** Whether other programs used the processors so much that the machine may be many times faster. */
  readonly isDisturbed: boolean;
}

/** Measures; takes about three seconds. `nowMs`: a clock; `busyMs`: the processor time of this process. */
export async function measureRates(
  engine: Engine,
  nowMs: () => number = () => performance.now(),
  busyMs: () => number = processorMs,
): Promise<MeasuredRates> {
  const [startMs, busyBeforeMs] = [nowMs(), busyMs()];
  const rates = await measureAll(engine, nowMs);
  const share = (busyMs() - busyBeforeMs) / (nowMs() - startMs);
  return { rates, isDisturbed: share < LEAST_SHARE };
}

async function measureAll(engine: Engine, nowMs: () => number): Promise<MachineRates> {
  const graph = new Graph();
  const x = graph.input("x", "float32", [ROWS, IN]);
  const weight = graph.input("weight", "float32", [OUT, IN]);
  const codes = graph.input("codes", "int8", [IN, OUT]);
  const back = graph.input("back", "int8", [OUT, IN]);
  const scales = graph.input("scales", "float32", [OUT]);
  const [a, b] = [graph.input("a", "float32", [LENGTH]), graph.input("b", "float32", [LENGTH])];
  const rate = (
    inputs: Record<string, Value>,
    y: Value,
    kind: "float32" | "int8" | "movedBytes",
  ): Promise<number> => runRate(engine, nowMs, { name: `rate-${kind}`, inputs, outputs: { y } }, kind);
  return {
    float32: await rate({ x, weight }, matmul(x, weight, { transB: true }), "float32"),
    int8: await rate({ x, codes, back, scales }, matmulInt8(x, codes, scales, back), "int8"),
    movedBytes: await rate({ a, b }, add(a, b), "movedBytes"),
    readBytes: await readingRate(nowMs),
  };
}

async function runRate(
  engine: Engine,
  nowMs: () => number,
  spec: Parameters<Engine["compile"]>[0],
  kind: "float32" | "int8" | "movedBytes",
): Promise<number> {
  const program = await engine.compile(spec);
  const [feeds, into] = [fresh(spec.inputs), fresh(spec.outputs)];
  try {
    await program.run(feeds, into);
    return workOf(spec, {})[kind] / (await leastSeconds(nowMs, () => program.run(feeds, into)));
  } finally {
    await program.release();
  }
}

function fresh(values: Readonly<Record<string, Value>>) {
  return Object.fromEntries(
    Object.entries(values).map(([name, { dtype, shape }]) => [name, zeros(dtype, evaluateShape(shape, {}))]),
  );
}

/** Measures how fast 16-bit floats, as in files, are converted to float32. */
async function readingRate(nowMs: () => number): Promise<number> {
  const values = new Float32Array(LENGTH / 4).fill(0.1);
  const bits = float32ToBfloat16(values);
  return values.byteLength / (await leastSeconds(nowMs, () => widenBfloat16(bits, values)));
}

/** The shortest of many runs: rates are stored, and other work of the machine during the measurement must not affect them. */
async function leastSeconds(nowMs: () => number, run: () => Promise<void> | void): Promise<number> {
  const endMs = nowMs() + TRY_MS;
  let least = Number.POSITIVE_INFINITY;
  for (let startMs = nowMs(); startMs < endMs;) {
    await run();
    const now = nowMs();
    least = Math.min(least, now - startMs);
    startMs = now;
  }
  return least / 1000;
}
