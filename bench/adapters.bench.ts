/** @file What do many registered adapters cost: memory when they are used one after another, and time to the first token? */
import { AdapterPool } from "../src/engine/adapters/adapter-pool.ts";
import { ServingEngine } from "../src/engine/serving/serving-engine.ts";
import { loadModel } from "../src/format/by-path.ts";
import { Random } from "../src/random.ts";
import { Session } from "../src/run/session.ts";
import { createEngine } from "../src/runtime/create-engine.ts";
import { defineBenchmark } from "./bench.ts";
import { startAdapter } from "./draw-adapter.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { median } from "./harness/statistics.ts";

const MB = 1e6;

export const benchmark = defineBenchmark({
  question: "What do many adapters cost in memory, and how long does the first use of one take?",
  flags: {
    model: MODEL,
    adapters: { value: 1000, help: "adapters that are registered, and used one after another" },
    hot: { value: 100, help: "adapters that stay in memory" },
    rank: { value: 8, help: "rank of LoRA" },
  },
  async run({ model, adapters: count, hot, rank }, context) {
    const { base, checkpoint } = await loadModel(await findModel(model, context));
    const session = new Session(createEngine(), base, "float32");
    const read = async (path: string) => {
      const adapter = await startAdapter(base, "lora", { rank }, new Random(Number(path)));
      return { adapter, chatTemplateHash: null };
    };
    const adapters = new AdapterPool({ session, read, maxLoaded: hot });
    const serving = new ServingEngine(session, adapters, { cacheBytes: 1e8 });
    const use = async (name: string | null): Promise<number> => {
      const startMs = performance.now();
      for await (const _ of serving.write({ promptIds: [1], maxNewTokens: 1, adapter: name })) continue;
      return performance.now() - startMs;
    };
    const rows: string[][] = [];
    const results: Record<string, number> = {};
    const tell = (used: number, times: readonly number[]): void => {
      globalThis.gc?.();
      const rssMb = process.memoryUsage().rss / MB;
      rows.push([String(used), rssMb.toFixed(0), median(times).toFixed(1)]);
      Object.assign(results, { [`rss_mb_${used}`]: rssMb, [`first_use_ms_${used}`]: median(times) });
    };
    tell(0, [await use(null)]);
    for (let i = 0; i < count; i++) adapters.register(`a${i}`, String(i));
    let times: number[] = [];
    for (let i = 0; i < count; i++) {
      times.push(await use(`a${i}`));
      if (i + 1 !== hot && i + 1 !== count) continue;
      tell(i + 1, times);
      times = [];
    }
    await serving.close();
    await adapters.close();
    await session.release();
    await checkpoint.close();
    return { table: { head: ["used", "memory, MB", "first use, ms"], rows }, results };
  },
});
