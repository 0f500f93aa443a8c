/** @file How long does it take to switch from one task's adapter to another's, on a model that writes text? */
import { Session } from "../src/run/session.ts";
import { loadModel } from "../src/format/by-path.ts";
import { DEFAULT_MODEL } from "../src/hub/resolve.ts";
import type { BaseModel } from "../src/models/base/base-model.ts";
import type { Adapter } from "../src/peft/attach.ts";
import type { Completion } from "../src/engine/generation/completion.ts";
import { Generator } from "../src/engine/generation/generator.ts";
import { Random } from "../src/random.ts";
import { createEngine } from "../src/runtime/create-engine.ts";
import { defineBenchmark, type Json } from "./bench.ts";
import { startAdapter } from "./draw-adapter.ts";
import { findModel } from "./harness/peers.ts";
import { rounded, spread } from "./harness/statistics.ts";

const PROMPT = Array.from({ length: 16 }, (_, i) => 100 + i);
/** How far the numbers of an adapter lie from their start. */
const DEVIATION = 0.01;
/** Adapters of all methods on one generator, one after another. */
const IN_TURN = "in turn";

export const benchmark = defineBenchmark({
  question: "How long does it take to switch to another task, and how fast is text after it?",
  flags: {
    model: { value: DEFAULT_MODEL, help: "model: a name, a Hugging Face folder or a .gguf file" },
    methods: { value: "ia3,road,peqa,lora", help: "methods of the adapters, with commas" },
    switches: { value: 20, help: "switches that are timed" },
    tokens: { value: 16, help: "tokens that are written before and after each" },
    threads: { value: 0, help: "threads of an operation; 0: all processors" },
  },
  async run(values, context) {
    const path = await findModel(values.model, context);
    const { base, checkpoint } = await loadModel(path);
    const engine = createEngine(values.threads === 0 ? {} : { threads: values.threads });
    const rows: string[][] = [];
    const results: Record<string, Json> = {};
    const names = values.methods.split(",");
    for (const side of [...names, ...(names.length > 1 ? [IN_TURN] : [])]) {
      context.say(side);
      const tasks: Adapter[] = [];
      const methods = side === IN_TURN ? names : [side, side];
      for (const [i, name] of methods.entries()) tasks.push(await makeAdapter(base, name, i + 1));
      const session = new Session(engine, base, "float32");
      const generator = await Generator.create({ session, adapter: tasks[0] as Adapter });
      for (const task of tasks) await generator.prepare(task);
      const write = (): Promise<Completion> =>
        generator.complete({ promptIds: PROMPT, maxNewTokens: values.tokens });
      await write();
      const before: number[] = [];
      const after: Completion[] = [];
      const switchMs: number[] = [];
      for (let i = 0; i < values.switches; i++) {
        // The text before a switch is a second one of the same task, so that both sides see the same machine.
        before.push((await write()).tokensPerSecond);
        const task = tasks[(i + 1) % tasks.length] as Adapter;
        const start = performance.now();
        await generator.switchTo(task);
        switchMs.push(performance.now() - start);
        after.push(await write());
      }
      await session.release();
      for (const task of tasks) task.release();
      const [took, token] = [spread(switchMs), spread(after.map(({ firstTokenMs }) => firstTokenMs))];
      const [old, fresh] = [spread(before), spread(after.map(({ tokensPerSecond }) => tokensPerSecond))];
      const numTrained = Math.max(...tasks.map((task) => task.numTrained));
      rows.push([
        side,
        numTrained.toLocaleString("en"),
        `${took.median.toFixed(2)} ms (${took.lowest.toFixed(2)}–${took.highest.toFixed(2)})`,
        `${token.median.toFixed(0)} ms`,
        old.median.toFixed(1),
        fresh.median.toFixed(1),
      ]);
      results[side] = {
        trained: numTrained,
        switch_ms: { median: rounded(took.median, 3), highest: rounded(took.highest, 3) },
        first_token_ms: rounded(token.median, 1),
        tokens_per_second: { before: rounded(old.median, 1), after: rounded(fresh.median, 1) },
      };
    }
    await checkpoint.close();
    return {
      parameters: values,
      versions: {},
      table: {
        head: ["method", "trained", "switch", `then ${PROMPT.length} tokens`, "tokens/s before", "after"],
        rows,
      },
      results,
    };
  },
});

/** An adapter as if it had been trained. */
async function makeAdapter(base: BaseModel, name: string, seed: number): Promise<Adapter> {
  const adapter = await startAdapter(base, name, {}, new Random(seed));
  const random = new Random(seed, 1);
  for (const { values } of adapter.groups) {
    values.forEach((value, i) => (values[i] = value * (1 + DEVIATION * random.normal())));
  }
  return adapter;
}
