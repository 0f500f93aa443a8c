/** @file How long does it take to switch from one task's adapter to another's, on a model that writes text? */
import { Session } from "../src/run/session.ts";
import { loadModel } from "../src/format/by-path.ts";
import { DEFAULT_MODEL } from "../src/hub/resolve.ts";
import type { BaseModel } from "../src/models/base-model.ts";
import { type Adapter, attach } from "../src/peft/attach.ts";
import { findMethod } from "../src/peft/methods.ts";
import { Generator } from "../src/engine/generator.ts";
import { Random } from "../src/random.ts";
import { createEngine } from "../src/runtime/create-engine.ts";
import { defineBenchmark, type Json } from "./bench.ts";
import { findModel } from "./peers.ts";
import { rounded, spread } from "./statistics.ts";

const PROMPT = Array.from({ length: 16 }, (_, i) => 100 + i);
/** How far the numbers of an adapter lie from their start. */
const DEVIATION = 0.01;

export const benchmark = defineBenchmark({
  question: "How long does it take to switch from one task's adapter to another's, loaded before?",
  flags: {
    model: { value: DEFAULT_MODEL, help: "model: a name, a Hugging Face folder or a .gguf file" },
    methods: { value: "ia3,road,peqa,lora", help: "methods of the adapters, with commas" },
    switches: { value: 20, help: "switches that are timed" },
    threads: { value: 0, help: "threads of an operation; 0: all processors" },
  },
  async run(values, context) {
    const path = await findModel(values.model, context);
    const { base, checkpoint } = await loadModel(path);
    const engine = createEngine(values.threads === 0 ? {} : { threads: values.threads });
    const rows: string[][] = [];
    const results: Record<string, Json> = {};
    for (const name of values.methods.split(",")) {
      context.say(name);
      const [first, second] = [await makeAdapter(base, name, 1), await makeAdapter(base, name, 2)];
      const session = new Session(engine, base, "float32");
      const generator = await Generator.create({ session, adapter: first });
      await generator.complete({ promptIds: PROMPT, maxNewTokens: 1 });
      const [switchMs, tokenMs]: [number[], number[]] = [[], []];
      for (let i = 0; i < values.switches; i++) {
        const start = performance.now();
        await generator.switchTo(i % 2 === 0 ? second : first);
        switchMs.push(performance.now() - start);
        const { firstTokenMs } = await generator.complete({ promptIds: PROMPT, maxNewTokens: 1 });
        tokenMs.push(firstTokenMs);
      }
      await session.release();
      const [took, token] = [spread(switchMs), spread(tokenMs)];
      rows.push([
        name,
        first.numTrained.toLocaleString("en"),
        `${took.median.toFixed(2)} ms (${took.lowest.toFixed(2)}–${took.highest.toFixed(2)})`,
        `${token.median.toFixed(0)} ms`,
      ]);
      results[name] = {
        trained: first.numTrained,
        switch_ms: { median: rounded(took.median, 3), highest: rounded(took.highest, 3) },
        first_token_ms: rounded(token.median, 1),
      };
    }
    await checkpoint.close();
    return {
      parameters: values,
      versions: {},
      table: { head: ["method", "trained", "switch", `then ${PROMPT.length} tokens`], rows },
      results,
    };
  },
});

/** An adapter as if it had been trained. */
async function makeAdapter(base: BaseModel, name: string, seed: number): Promise<Adapter> {
  const targets = { modules: null, exclude: [], layers: null };
  const adapter = await attach(base, { method: findMethod(name), options: {}, targets }, new Random(seed));
  const random = new Random(seed, 1);
  for (const { values } of adapter.groups) {
    values.forEach((value, i) => (values[i] = value * (1 + DEVIATION * random.normal())));
  }
  return adapter;
}
