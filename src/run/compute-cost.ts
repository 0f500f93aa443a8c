/**
 * @file Measures what an arithmetic costs on this processor: times one product of many rows, and compares it with float32.
 *
 * Processors without instructions for 8-bit products may be slower with them. Measuring finds out on any processor, without a
 * list.
 */
import { Graph, type Value } from "../graph/graph.ts";
import type { Compute, Matrix, Product, TensorReader } from "../nn/compute.ts";
import { f32, float32Product } from "../nn/computes/f32.ts";
import { storedFloats } from "../quant/stored-tensor.ts";
import { Random } from "../random.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, hostTensor, zeros } from "../runtime/host-tensor.ts";
import { madeOnce } from "../runtime/made-once.ts";

/** The cost of an arithmetic beside float32. */
interface ComputeCost {
  /** Time of a product relative to float32. */
  readonly time: number;
  /** Mean absolute difference from float32, relative to the mean magnitude. */
  readonly error: number;
}

const ROWS = 256;
const MATRIX: Matrix = { role: "up", inFeatures: 512, outFeatures: 512, storedTransposed: false };
/** Runs of an arithmetic that is fast, and most runs of one that seems slow: other programs may have used the processor. */
const [TRIES, MAX_TRIES] = [7, 60];
/** Above this ratio, float32 is called faster; a smaller one may be chance. */
const SLOW = 1.1;
/** Above this error, sums must have overflowed: rounding to 8 bits causes about 0.01, to 4 bits about 0.1. */
const WRONG = 0.25;

/** Times and compares a product of an arithmetic; for float32 there is nothing to measure. */
export async function measureCompute(engine: Engine, compute: Compute): Promise<ComputeCost> {
  const product = compute === f32 ? null : compute.product(MATRIX, "f32");
  if (!product) return { time: 1, error: 0 };
  const [x, weight] = [draw(ROWS, MATRIX.inFeatures, 1), draw(MATRIX.outFeatures, MATRIX.inFeatures, 2)];
  const own = await compileProduct(engine, product, weight);
  const exact = await compileProduct(engine, float32Product(MATRIX), weight);
  let [ownMs, exactMs] = [Infinity, Infinity];
  for (let i = 0; i < TRIES || (i < MAX_TRIES && ownMs > SLOW * exactMs); i++) {
    ownMs = Math.min(ownMs, await own.timedRun(x));
    exactMs = Math.min(exactMs, await exact.timedRun(x));
  }
  await own.program.release();
  await exact.program.release();
  const size = exact.y.data.reduce((sum, value) => sum + Math.abs(value), 0);
  const apart = exact.y.data.reduce((sum, value, i) => sum + Math.abs(value - own.y.data[i]!), 0);
  return { time: ownMs / exactMs, error: apart / size };
}

/** Measured costs of this process, by arithmetic, and by the engine's name and threads. */
const KNOWN = new WeakMap<Compute, Map<string, Promise<ComputeCost>>>();

/** Returns what an arithmetic costs on this processor, measured once per process. */
export function costOf(engine: Engine, compute: Compute): Promise<ComputeCost> {
  const known = KNOWN.get(compute) ?? new Map<string, Promise<ComputeCost>>();
  KNOWN.set(compute, known);
  return madeOnce(known, `${engine.name} on ${engine.threads}`, () => measureCompute(engine, compute));
}

/** Describes drawbacks of an arithmetic on this processor for the user; null: there are none. */
export function describeCost({ name }: Pick<Compute, "name">, { time, error }: ComputeCost): string | null {
  const facts: string[] = [];
  if (time > SLOW) facts.push(`take ${time.toFixed(1)} times as long as in float32`);
  if (error > WRONG) facts.push(`are off by ${Math.round(100 * error)} % on average`);
  if (facts.length === 0) return null;
  return `${name} products of many rows ${facts.join(" and ")} on this processor: --compute ${f32.name} is the better choice`;
}

function draw(numRows: number, width: number, seed: number): HostTensor<"float32"> {
  const random = new Random(seed);
  const values = new Float32Array(numRows * width).map(() => random.normal());
  return hostTensor("float32", [numRows, width], values);
}

/** A product with a matrix as a program. */
interface TimedProduct {
  readonly program: Program;
  readonly y: HostTensor<"float32">;
  /** Computes y; returns the time in milliseconds. */
  timedRun(x: HostTensor): Promise<number>;
}

async function compileProduct(
  engine: Engine,
  product: Product,
  weight: HostTensor<"float32">,
): Promise<TimedProduct> {
  const graph = new Graph();
  const x = graph.input("x", "float32", [ROWS, MATRIX.inFeatures]);
  const values = product.operands.map(({ suffix, dtype, shape }): [string, Value] => [
    suffix,
    graph.input(`weight${suffix}`, dtype, shape),
  ]);
  const reader: TensorReader = {
    stored: async () => storedFloats(weight),
    readInto: async (into, start = 0) => into.set(weight.data.subarray(start, start + into.length)),
    view: () => weight,
    smoothing: () => null,
  };
  const made = await product.prepare(reader, ({ dtype, shape }) => zeros(dtype, shape));
  const operands = Object.fromEntries(Object.entries(made).map(([suffix, of]) => [`weight${suffix}`, of]));
  const inputs = { x, ...Object.fromEntries(values.map(([, value]) => [value.name, value])) };
  const outputs = { y: product.project(x, Object.fromEntries(values)) };
  const constants = product.binding === "bound" ? operands : {};
  const program = await engine.compile({ name: "compute-cost", inputs, outputs }, { constants });
  const y = zeros("float32", [ROWS, MATRIX.outFeatures]);
  return {
    program,
    y,
    timedRun: async (of) => {
      const startMs = performance.now();
      await program.run({ x: of, ...operands }, { y });
      return performance.now() - startMs;
    },
  };
}
