/** @file What does it cost to write many texts at once with their own adapters, and what is gained over one after another? */
import { AdapterPool } from "../src/engine/adapters/adapter-pool.ts";
import { ServingEngine } from "../src/engine/serving/serving-engine.ts";
import type { ReadAdapter } from "../src/format/adapters/read-adapter.ts";
import { loadModel } from "../src/format/by-path.ts";
import { COMPUTES } from "../src/nn/computes.ts";
import { Random } from "../src/random.ts";
import { Session } from "../src/run/session.ts";
import { type Outcome, defineBenchmark } from "./bench.ts";
import { engineOf, THREADS } from "./harness/threads.ts";
import { drawAdapter } from "./draw-adapter.ts";
import { interleave } from "./harness/interleave.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { median, ratioOf, roundedSpread, showRatio } from "./harness/statistics.ts";
import { madePrompt } from "./serving/made-prompt.ts";
import { processorMs } from "../src/train/power/processor-ms.ts";

/** Adapters of a side: method and options; null: none. */
const KINDS: Readonly<Record<string, readonly [method: string, options: object]>> = {
  road: ["road", {}],
  ia3: ["ia3", {}],
  "lora 8": ["lora", { rank: 8 }],
  "lora 32": ["lora", { rank: 32 }],
  vera: ["vera", {}],
  dora: ["dora", { rank: 8 }],
};

export const benchmark = defineBenchmark({
  question: "What does it cost to write many texts at once, each with an adapter of its own?",
  flags: {
    model: MODEL,
    rows: { value: 16, help: "texts at once, each with its own adapter" },
    prompt: { value: 32, help: "tokens of a prompt" },
    tokens: { value: 48, help: "new tokens of a text" },
    kinds: { value: "road,ia3,lora 8", help: "adapters, with commas" },
    compute: { value: "f32", help: "arithmetic of the products" },
    rounds: { value: 3, help: "runs of each side" },
    threads: THREADS,
    processor: { value: false, help: "counts seconds of processor time, which other programs disturb less" },
  },
  async run(values, context) {
    const kinds = values.kinds.split(",").map((kind) => kind.trim());
    const engine = engineOf(values.threads);
    const { base, checkpoint } = await loadModel(await findModel(values.model, context));
    const compute = COMPUTES[values.compute as keyof typeof COMPUTES];
    const session = new Session(engine, base, "float32", { compute });
    const adapters = await loadAdapters(session, kinds, values.rows);
    const serving = new ServingEngine(session, adapters, { cacheBytes: 1e9, maxRunning: values.rows });
    const sides = sidesOf(serving, kinds, values);
    for (const side of Object.values(sides)) await side();
    const speeds = await interleave(values.rounds, sides, context);
    await serving.close();
    await adapters.close();
    await session.release();
    await checkpoint.close();
    return { parameters: { ...values, threads: engine.threads }, ...compareWithNone(speeds) };
  },
});

/** Loads an adapter of each kind for each row, named `KIND ROW`, with other numbers than start values. */
async function loadAdapters(
  session: Session,
  kinds: readonly string[],
  numRows: number,
): Promise<AdapterPool> {
  const read = async (path: string): Promise<ReadAdapter> => {
    const [kind, seed] = path.split("/") as [string, string];
    const [method, options] = KINDS[kind]!;
    const random = new Random(Number(seed));
    const adapter = await drawAdapter(session.base, method, options, { random });
    return { adapter, chatTemplateHash: null };
  };
  const adapters = new AdapterPool({ session, read, maxLoaded: kinds.length * numRows });
  for (const kind of kinds) {
    for (let row = 0; row < numRows; row++) {
      adapters.register(`${kind} ${row}`, `${kind}/${row}`);
      adapters.release(await adapters.acquire(`${kind} ${row}`));
    }
  }
  return adapters;
}

interface Load {
  readonly rows: number;
  readonly prompt: number;
  readonly tokens: number;
  readonly processor: boolean;
}

/** Ways to write the texts; each returns its tokens per second. */
function sidesOf(
  serving: ServingEngine,
  kinds: readonly string[],
  load: Load,
): Record<string, () => Promise<number>> {
  const rows = Array.from({ length: load.rows }, (_, row) => row);
  let numRuns = 0;
  const nowMs = load.processor ? processorMs : () => performance.now();
  const speed = async (run: (seed: number) => Promise<void>): Promise<number> => {
    const startedMs = nowMs();
    await run(numRuns++);
    return (1000 * load.rows * load.tokens) / (nowMs() - startedMs);
  };
  const write = (row: number, seed: number, adapter: string | null): Promise<void> =>
    writeText(serving, load, { row, seed, adapter });
  const together = (nameOf: (row: number) => string | null) => (): Promise<number> =>
    speed(async (seed) => void (await Promise.all(rows.map((row) => write(row, seed, nameOf(row))))));
  return {
    none: together(() => null),
    ...Object.fromEntries(kinds.map((kind) => [kind, together((row) => `${kind} ${row}`)])),
    mixed: together((row) => `${kinds[row % kinds.length]} ${row}`),
    "mixed, passes in turn": () =>
      speed(async (seed) => {
        for (const [index, kind] of kinds.entries()) {
          const own = rows.filter((row) => row % kinds.length === index);
          await Promise.all(own.map((row) => write(row, seed, `${kind} ${row}`)));
        }
      }),
    [`${kinds[0]}, one after another`]: () =>
      speed(async (seed) => {
        for (const row of rows) await write(row, seed, `${kinds[0]} ${row}`);
      }),
  };
}

/** Writes one text; each has a different prompt, so that none is found in the cache. */
async function writeText(
  serving: ServingEngine,
  { prompt, tokens }: Load,
  { row, seed, adapter }: { readonly row: number; readonly seed: number; readonly adapter: string | null },
): Promise<void> {
  const promptIds = madePrompt(row, prompt, serving.session.model.numOutputs, seed);
  for await (const _ of serving.write({ promptIds, maxNewTokens: tokens, adapter })) continue;
}

function compareWithNone(speeds: Readonly<Record<string, readonly number[]>>): Outcome {
  const sides = Object.entries(speeds).map(([name, own]) => {
    return { name, speed: median(own), ratio: ratioOf(own, speeds["none"] ?? []) };
  });
  return {
    table: {
      head: ["adapters", "tokens/s", "against none"],
      rows: sides.map(({ name, speed, ratio }) => [name, speed.toFixed(1), showRatio(ratio)]),
    },
    results: Object.fromEntries(
      sides.map(({ name, speed, ratio }) => [
        name,
        { tokens_per_second: speed, against_none: roundedSpread(ratio) },
      ]),
    ),
  };
}
