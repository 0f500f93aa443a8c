/** @file What does a batch cost whose rows have their own adapters, RoAd or LoRA, compared with one without adapters? */
import { BaseModel } from "../src/models/base/base-model.ts";
import { openModel } from "../src/models/families.ts";
import { memorySource } from "../test/tiny/memory-source.ts";
import { viewOfRows } from "../test/passes/rows-of-adapters.ts";
import { type AdapterView, NO_ADAPTER } from "../src/peft/adapter-view.ts";
import type { Adapter } from "../src/peft/attach.ts";
import type { StoredTensor } from "../src/quant/stored-tensor.ts";
import { Random } from "../src/random.ts";
import { BlockRunner } from "../src/run/blocks/block-runner.ts";
import { PassContext } from "../src/run/context.ts";
import { Session } from "../src/run/session.ts";
import { hostTensor } from "../src/runtime/host-tensor.ts";
import { numElements } from "../src/graph/shape.ts";
import { defineBenchmark } from "./bench.ts";
import { engineOf, THREADS } from "./harness/threads.ts";
import { drawAdapter } from "./draw-adapter.ts";
import { interleave } from "./harness/interleave.ts";
import { median, ratioOf, roundedSpread, showRatio } from "./harness/statistics.ts";
import { readCounts } from "./harness/flags.ts";

/** SmolLM2-135M except for its vocabulary, which no block reads. */
const SIZES = {
  model_type: "llama",
  vocab_size: 2,
  hidden_size: 576,
  intermediate_size: 1536,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};

/** Inputs that these passes do not have. */
const NOTHING_ELSE = { tokenTypes: null, keys: null, textLengths: null, isPromptEnd: null };

export const benchmark = defineBenchmark({
  question: "What does a batch cost whose rows have adapters of their own, against one without adapters?",
  flags: {
    rows: { value: 8, help: "rows of the batch, each with its own adapter" },
    tokens: { value: "1,64", help: "tokens of a row, with commas" },
    layers: { value: 30, help: "blocks of the model, whose other sizes are SmolLM2-135M's" },
    rank: { value: 8, help: "rank of LoRA" },
    rounds: { value: 20, help: "runs of each side" },
    threads: THREADS,
  },
  async run(values, context) {
    const engine = engineOf(values.threads);
    const base = makeBase(values.layers);
    const lengths = readCounts("tokens", values.tokens);
    const road = await makeAdapters(base, "road", {}, values.rows);
    const lora = await makeAdapters(base, "lora", { rank: values.rank }, values.rows);
    const overlays = {
      none: null,
      road: await viewOfRows(engine, base, road),
      lora: await viewOfRows(engine, base, lora),
    };
    const session = new Session(engine, base, "float32");
    const inTurn = road.map((adapter) => passOf(session, adapter, 1));
    const together = Object.fromEntries(
      Object.entries(overlays).map(([name, overlay]) => [name, passOf(session, overlay, values.rows)]),
    );
    const table: string[][] = [];
    const results: Record<string, Record<string, number[]>> = {};
    for (const length of lengths) {
      const sides: Record<string, () => Promise<number>> = {
        ...Object.fromEntries(
          Object.entries(together).map(([name, pass]) => [name, () => timed(() => pass(length))]),
        ),
        "road in turn": () =>
          timed(async () => {
            for (const pass of inTurn) await pass(length);
          }),
      };
      for (const side of Object.values(sides)) await side();
      const times = await interleave(values.rounds, sides, context);
      results[length] = times;
      for (const [name, own] of Object.entries(times)) {
        const ratio = ratioOf(own, times["none"] ?? []);
        table.push([String(length), name, median(own).toFixed(2), showRatio(ratio)]);
        results[length][`${name}_ratio`] = Object.values(roundedSpread(ratio));
      }
    }
    return {
      parameters: { ...values, threads: engine.threads },
      table: { head: ["tokens a row", "adapters", "ms", "against none"], rows: table },
      results,
    };
  },
});

/** Measures milliseconds. */
async function timed(run: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** A model of random weights, which are equal in all blocks, but each block has its own memory. */
function makeBase(numLayers: number): BaseModel {
  const model = openModel({ ...SIZES, num_hidden_layers: numLayers });
  const random = new Random(1);
  const drawn = new Map<string, Float32Array>();
  const tensors = [...model.tensors.values()].map(({ name, shape, role }): [string, StoredTensor] => {
    const kind = name.replace(/\.\d+\./, ".");
    const known = drawn.get(kind);
    const values =
      known?.slice() ??
      new Float32Array(numElements(shape)).map(() => (role === "norm" ? 1 : 0.04 * random.normal()));
    drawn.set(kind, values);
    return [name, { storage: "f32", shape, planes: { data: hostTensor("float32", shape, values) } }];
  });
  return new BaseModel("random", model, memorySource(new Map(tensors)));
}

/** Adapters with different numbers, none at its start values. */
async function makeAdapters(
  base: BaseModel,
  method: string,
  options: object,
  count: number,
): Promise<Adapter[]> {
  const draw = { random: new Random(2), deviation: 0.02 };
  const adapters: Adapter[] = [];
  for (let i = 0; i < count; i++) adapters.push(await drawAdapter(base, method, options, draw));
  return adapters;
}

/** A pass over all blocks on rows of a length; row i has the i-th adapter. */
function passOf(
  session: Session,
  overlay: AdapterView | null,
  numRows: number,
): (length: number) => Promise<void> {
  const { pool, tables, model } = session;
  const runner = new BlockRunner(session, overlay ?? NO_ADAPTER, null);
  return async (length) => {
    const positions = BigInt64Array.from({ length: numRows * length }, (_, i) => BigInt(i % length));
    const segments = new Int32Array(numRows * length).fill(1);
    const facts = { numRows, length, positions, segments, ...NOTHING_ELSE };
    const pass = runner.begin(new PassContext(facts, pool, tables));
    let x = pool.acquire("float32", [numRows, length, model.width]);
    x.data.forEach((_, i) => (x.data[i] = Math.sin(i)));
    for (let layer = 0; layer < runner.numLayers; layer++) {
      const { y } = await runner.forward(layer, x, pass, { saves: "nothing" });
      pool.release(x);
      x = y;
    }
    pool.release(x);
    runner.end(pass);
  };
}
