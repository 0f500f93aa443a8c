/** @file How much faster are texts with their own adapters in one batch than with peft, which uses one adapter at a time? */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { AdapterPool } from "../src/engine/adapters/adapter-pool.ts";
import { ServingEngine } from "../src/engine/serving/serving-engine.ts";
import { loadModel, readAdapter } from "../src/format/by-path.ts";
import { Random } from "../src/random.ts";
import { Session } from "../src/run/session.ts";
import { createEngine } from "../src/runtime/create-engine.ts";
import { type BenchContext, type FlagValues, type Outcome, defineBenchmark } from "./bench.ts";
import { drawAdapter } from "./draw-adapter.ts";
import { interleave } from "./harness/interleave.ts";
import { MODEL, asFolder, findModel, pythonVersions, runPeer } from "./harness/peers.ts";
import { intervalOf, median, ratioOf, rounded, roundedSpread, showRatio } from "./harness/statistics.ts";
import { eventsOf } from "./training/training-sides.ts";
import { saveAdapter } from "../test/files/save-adapter.ts";
import { madePrompt } from "./serving/made-prompt.ts";

const FLAGS = {
  model: MODEL,
  rows: { value: 16, help: "texts, each with its own adapter" },
  rank: { value: 8, help: "rank of LoRA" },
  prompt: { value: 16, help: "tokens of a prompt" },
  tokens: { value: 24, help: "new tokens of a text" },
  rounds: { value: 3, help: "runs of each side" },
  threads: { value: 2, help: "threads of an operation" },
};
type Values = FlagValues<typeof FLAGS>;

export const benchmark = defineBenchmark({
  question:
    "How much faster are texts with LoRA adapters of their own in one batch than one after another in peft?",
  flags: FLAGS,
  run: compare,
});

async function compare(values: Values, context: BenchContext): Promise<Outcome> {
  const { scratch } = context;
  const { rows, tokens, rounds, threads } = values;
  const model = await asFolder(await findModel(values.model, context), context);
  const { base, checkpoint } = await loadModel(model);
  const prompts = Array.from({ length: rows }, (_, row) =>
    madePrompt(row, values.prompt, base.model.numOutputs),
  );
  const folders: string[] = [];
  for (let row = 0; row < rows; row++) {
    const adapter = await drawAdapter(base, "lora", { rank: values.rank }, { random: new Random(row) });
    folders.push(join(scratch, `adapter-${row}`));
    await saveAdapter(folders[row]!, adapter, { base, checkpoint });
  }
  const task = join(scratch, "task.json");
  writeFileSync(task, JSON.stringify({ model, adapters: folders, prompts, tokens, threads }));

  const session = new Session(createEngine({ threads }), base, "float32");
  const serving = await openServing(session, folders, prompts);
  await serving.writeAll(2);
  const texts: { graft: readonly unknown[]; peft: readonly unknown[] } = { graft: [], peft: [] };
  const seconds = await interleave(
    rounds,
    {
      peft: async () => {
        const { events } = await runPeer("peft_swap.py", [task]);
        const [start, end] = [eventsOf({ events }, "start")[0], eventsOf({ events }, "end")[0]];
        texts.peft = (end?.value["texts"] ?? []) as unknown[];
        return ((end?.atMs ?? Number.NaN) - (start?.atMs ?? Number.NaN)) / 1000;
      },
      graft: async () => {
        const startMs = performance.now();
        texts.graft = await serving.writeAll(tokens);
        return (performance.now() - startMs) / 1000;
      },
    },
    context,
  );
  await serving.close();
  await session.release();
  await checkpoint.close();
  const isEqual = (ids: unknown, i: number): boolean => JSON.stringify(ids) === JSON.stringify(texts.peft[i]);
  const numEqual = texts.graft.filter(isEqual).length;
  return { versions: await pythonVersions(), ...report(values, seconds, numEqual) };
}

/** Opens a function that writes texts for several prompts at once, each with the adapter of its folder. */
async function openServing(
  session: Session,
  folders: readonly string[],
  prompts: readonly (readonly number[])[],
): Promise<{ writeAll(maxNewTokens: number): Promise<number[][]>; close(): Promise<void> }> {
  const read = (folder: string): ReturnType<typeof readAdapter> => readAdapter(folder, session.base);
  const adapters = new AdapterPool({ session, read, maxLoaded: folders.length });
  for (const folder of folders) {
    adapters.register(folder, folder);
    adapters.release(await adapters.acquire(folder));
  }
  return {
    async writeAll(maxNewTokens) {
      // A new cache each time, so that no prompt is found there.
      const serving = new ServingEngine(session, adapters, { cacheBytes: 1e9, maxRunning: folders.length });
      const texts = await Promise.all(
        prompts.map(async (promptIds, row) => {
          const ids: number[] = [];
          const request = { promptIds, maxNewTokens, adapter: folders[row] ?? null };
          for await (const { id } of serving.write(request)) ids.push(id);
          return ids;
        }),
      );
      await serving.close();
      return texts;
    },
    close: () => adapters.close(),
  };
}

function report(
  { rows, tokens }: Values,
  seconds: { readonly graft: readonly number[]; readonly peft: readonly number[] },
  numEqual: number,
): Outcome {
  const ratio = ratioOf(seconds.peft, seconds.graft);
  const { mean, low, high } = intervalOf(
    seconds.peft.map((own, i) => own / (seconds.graft[i] ?? Number.NaN)),
  );
  const line = (name: string, own: readonly number[], times: string): string[] => [
    name,
    median(own).toFixed(2),
    ((rows * tokens) / median(own)).toFixed(1),
    times,
  ];
  return {
    table: {
      head: ["side", "seconds", "tokens/s", "times peft"],
      rows: [
        line("peft, one adapter after another", seconds.peft, "1"),
        line(`graft, ${rows} adapters in one batch`, seconds.graft, showRatio(ratio)),
        ["mean of the ratio, 95 %", "", "", `${mean.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`],
        ["equal texts", "", "", `${numEqual} of ${rows}`],
      ],
    },
    results: {
      seconds,
      ratio: roundedSpread(ratio),
      interval: { mean: rounded(mean, 3), low: rounded(low, 3), high: rounded(high, 3) },
      equal_texts: numEqual,
    },
  };
}
