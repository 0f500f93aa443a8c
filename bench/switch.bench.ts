/** @file How long does it take to switch from one task's adapter to another's, on a model that writes text? */
import { Session } from "../src/run/session.ts";
import { loadModel } from "../src/format/by-path.ts";
import type { BaseModel } from "../src/models/base/base-model.ts";
import type { Adapter } from "../src/peft/attach.ts";
import type { Completion } from "../src/engine/generation/completion.ts";
import { Generator } from "../src/engine/generation/generator.ts";
import { Random } from "../src/random.ts";
import { defineBenchmark, type Json } from "./bench.ts";
import { engineOf, THREADS } from "./harness/threads.ts";
import { startAdapter } from "./draw-adapter.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { rounded, spread, type Spread } from "./harness/statistics.ts";

const PROMPT = Array.from({ length: 16 }, (_, i) => 100 + i);
/** Deviation of an adapter's numbers from their start values. */
const DEVIATION = 0.01;
/** The name of the side that uses adapters of all methods on one generator. */
const IN_TURN = "in turn";

export const benchmark = defineBenchmark({
  question: "How long does it take to switch to another task, and how fast is text after it?",
  flags: {
    model: MODEL,
    methods: { value: "ia3,road,peqa,lora", help: "methods of the adapters, with commas" },
    switches: { value: 20, help: "switches that are timed" },
    tokens: { value: 16, help: "tokens that are written before and after each" },
    threads: THREADS,
  },
  async run(values, context) {
    const path = await findModel(values.model, context);
    const { base, checkpoint } = await loadModel(path);
    const engine = engineOf(values.threads);
    const sides: Side[] = [];
    const names = values.methods.split(",");
    for (const name of [...names, ...(names.length > 1 ? [IN_TURN] : [])]) {
      context.say(name);
      const tasks: Adapter[] = [];
      const methods = name === IN_TURN ? names : [name, name];
      for (const [i, method] of methods.entries()) tasks.push(await makeAdapter(base, method, i + 1));
      const session = new Session(engine, base, "float32");
      sides.push({ name, ...(await measure(session, tasks, values.switches, values.tokens)) });
      await session.release();
      for (const task of tasks) task.release();
    }
    await checkpoint.close();
    return {
      table: {
        head: ["method", "trained", "switch", `then ${PROMPT.length} tokens`, "tokens/s before", "after"],
        rows: sides.map(rowOf),
      },
      results: Object.fromEntries(sides.map((side) => [side.name, resultsOf(side)])),
    };
  },
});

/** Times of switches, and speeds of texts before and after them. */
interface Switches {
  /** Parameters of the largest adapter. */
  readonly numTrained: number;
  readonly switchMs: Spread;
  readonly firstTokenMs: Spread;
  /** Tokens per second. */
  readonly before: Spread;
  readonly after: Spread;
}

interface Side extends Switches {
  readonly name: string;
}

/** Switches among adapters, one after another. */
async function measure(
  session: Session,
  tasks: readonly Adapter[],
  numSwitches: number,
  maxNewTokens: number,
): Promise<Switches> {
  const generator = await Generator.create({ session, adapter: tasks[0]! });
  for (const task of tasks) await generator.prepare(task);
  const write = (): Promise<Completion> => generator.complete({ promptIds: PROMPT, maxNewTokens });
  await write();
  const before: number[] = [];
  const after: Completion[] = [];
  const switchMs: number[] = [];
  for (let i = 0; i < numSwitches; i++) {
    // The text before a switch is a second one of the same task, written at about the same time as the one after it.
    before.push((await write()).tokensPerSecond);
    const task = tasks[(i + 1) % tasks.length]!;
    const start = performance.now();
    await generator.switchTo(task);
    switchMs.push(performance.now() - start);
    after.push(await write());
  }
  return {
    numTrained: Math.max(...tasks.map((task) => task.numTrained)),
    switchMs: spread(switchMs),
    firstTokenMs: spread(after.map(({ firstTokenMs }) => firstTokenMs)),
    before: spread(before),
    after: spread(after.map(({ tokensPerSecond }) => tokensPerSecond)),
  };
}

function rowOf({ name, numTrained, switchMs, firstTokenMs, before, after }: Side): string[] {
  return [
    name,
    numTrained.toLocaleString("en"),
    `${switchMs.median.toFixed(2)} ms (${switchMs.lowest.toFixed(2)}–${switchMs.highest.toFixed(2)})`,
    `${firstTokenMs.median.toFixed(0)} ms`,
    before.median.toFixed(1),
    after.median.toFixed(1),
  ];
}

function resultsOf({ numTrained, switchMs, firstTokenMs, before, after }: Side): Json {
  return {
    trained: numTrained,
    switch_ms: { median: rounded(switchMs.median, 3), highest: rounded(switchMs.highest, 3) },
    first_token_ms: rounded(firstTokenMs.median, 1),
    tokens_per_second: { before: rounded(before.median, 1), after: rounded(after.median, 1) },
  };
}

/** An adapter as if it had been trained. */
async function makeAdapter(base: BaseModel, name: string, seed: number): Promise<Adapter> {
  const adapter = await startAdapter(base, name, {}, new Random(seed));
  const random = new Random(seed, 1);
  for (const { values } of adapter.groups) {
    values.forEach((value, i) => (values[i] = value * (1 + DEVIATION * random.normal())));
  }
  return adapter;
}
