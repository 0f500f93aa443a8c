/**
 * @file How fast does graft write and read text, compared with llama.cpp built from source, on the same GGUF file?
 *
 * llama.cpp is measured by its own `llama-bench` and, for many rows, `llama-batched-bench` of the same folder. graft is open in
 * this process and writes through its engine, including sampling; its threads sleep while llama.cpp runs.
 */
import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { AUTO_COMPUTE, type ComputeChoice } from "../src/engine/opening/choose-compute.ts";
import { type ServingModel, openServingModel } from "../src/engine/serving-model.ts";
import { UsageError } from "../src/errors.ts";
import { DEFAULT_MODEL } from "../src/hub/resolve.ts";
import { COMPUTES } from "../src/nn/computes.ts";
import { Random } from "../src/random.ts";
import { defineBenchmark, type Json, type Outcome } from "./bench.ts";
import { interleave } from "./harness/interleave.ts";
import { findModel } from "./harness/peers.ts";
import { ratioOf, roundedSpread, showRatio } from "./harness/statistics.ts";

/** What is measured, and graft's goal as a multiple of llama.cpp's speed. */
const MEASURES = {
  decode: { title: "one row, new tokens/s", goal: 1 },
  prefill: { title: "prompt, tokens/s", goal: 5 },
  rows: { title: "many rows, new tokens/s in all", goal: 4 },
} as const;

type Speeds = Readonly<Record<keyof typeof MEASURES, number>>;

/** What both sides do. */
interface Task {
  readonly prefill: number;
  readonly tokens: number;
  readonly rows: number;
  readonly threads: number;
}

/** Tokens of the prompts that many rows continue. */
const ROW_PROMPT = 16;
const MIB = 2 ** 20;

/** Runs a program of llama.cpp; returns what it prints. */
async function runLlama(path: string, words: readonly (string | number)[]): Promise<string> {
  const { stdout } = await promisify(execFile)(path, words.map(String), { maxBuffer: MIB });
  return stdout;
}

async function measureLlama(bench: string, model: string, task: Task): Promise<Speeds> {
  const { prefill, tokens, rows, threads } = task;
  const common = ["-m", model, "-t", threads];
  const tests = ["-p", prefill, "-n", tokens, "-r", 1, "-o", "json"];
  const found = JSON.parse(await runLlama(bench, [...common, ...tests])) as {
    readonly n_prompt: number;
    readonly avg_ts: number;
  }[];
  const batched = join(dirname(bench), "llama-batched-bench");
  const context = rows * (ROW_PROMPT + tokens);
  const many = ["-c", context, "-npp", ROW_PROMPT, "-ntg", tokens, "-npl", rows, "--output-format", "jsonl"];
  const lines = (await runLlama(batched, [...common, ...many])).split("\n");
  const last = lines.findLast((line) => line.startsWith("{")) ?? "{}";
  const speedOf = (isPrompt: boolean): number =>
    found.find(({ n_prompt }) => n_prompt > 0 === isPrompt)?.avg_ts ?? Number.NaN;
  return {
    decode: speedOf(false),
    prefill: speedOf(true),
    rows: (JSON.parse(last) as { readonly speed_tg?: number }).speed_tg ?? Number.NaN,
  };
}

/** Writes one text greedily; returns when its tokens came. */
async function write(model: ServingModel, promptIds: number[], maxNewTokens: number): Promise<number[]> {
  const times: number[] = [];
  for await (const _ of model.engine.write({ promptIds, maxNewTokens })) times.push(performance.now());
  return times;
}

function isCompute(name: string): name is ComputeChoice {
  return name === AUTO_COMPUTE || name in COMPUTES;
}

async function measureGraft(model: ServingModel, task: Task, random: Random): Promise<Speeds> {
  const { numOutputs } = model.engine.session.model;
  // Drawn for each run, so that no prompt is found in the cache.
  const draw = (length: number): number[] => Array.from({ length }, () => random.integer(numOutputs));
  const alone = await write(model, draw(1), task.tokens + 1);
  const startMs = performance.now();
  const [firstMs = Number.NaN] = await write(model, draw(task.prefill), 1);
  const prompts = Array.from({ length: task.rows }, () => draw(ROW_PROMPT));
  const many = await Promise.all(prompts.map((ids) => write(model, ids, task.tokens + 1)));
  // The moment when all prompts are read.
  const begunMs = Math.max(...many.map(([first = 0]) => first));
  const times = many.flat().filter((timeMs) => timeMs > begunMs);
  return {
    decode: (1000 * task.tokens) / (alone.at(-1)! - alone[0]!),
    prefill: (1000 * task.prefill) / (firstMs - startMs),
    rows: (1000 * times.length) / (Math.max(...times) - begunMs),
  };
}

export const benchmark = defineBenchmark({
  question:
    "How fast does graft write and read text against llama.cpp built from source, on the same GGUF file?",
  flags: {
    model: { value: DEFAULT_MODEL, help: "model: a .gguf file, or a name whose model is one" },
    "llama-bench": { value: "", help: "path of llama.cpp's llama-bench, beside llama-batched-bench" },
    compute: { value: "auto", help: "arithmetic of graft's products" },
    prefill: { value: 256, help: "tokens of the prompt that is read" },
    tokens: { value: 64, help: "new tokens of a text" },
    rows: { value: 16, help: "texts at once" },
    rounds: { value: 3, help: "runs of each side" },
    threads: { value: 2, help: "threads of both sides" },
  },
  async run(values, context) {
    const path = await findModel(values.model, context);
    const { "llama-bench": bench, compute, ...task } = values;
    if (!path.endsWith(".gguf") || bench === "" || !isCompute(compute))
      throw new UsageError(
        "usage/flag",
        `Cannot compare on "${path}" by "${bench}" with "${compute}": expected a .gguf file, the path of llama-bench, and auto or one of ${Object.keys(COMPUTES).join(", ")}`,
        { hint: "Build llama.cpp from source and give --llama-bench build/bin/llama-bench." },
      );
    const random = new Random(1);
    const model = await openServingModel(path, {
      compute,
      threads: task.threads,
      cacheBytes: 512 * MIB,
      maxRunning: task.rows,
    });
    try {
      await measureGraft(model, { ...task, tokens: 4 }, random);
      const memoryMb = process.memoryUsage().rss / MIB;
      const sides = {
        graft: () => measureGraft(model, task, random),
        llama: () => measureLlama(bench, path, task),
      };
      const rounds = await interleave(values.rounds, sides, context);
      return compare(rounds, memoryMb);
    } finally {
      await model.close();
    }
  },
});

function compare(
  { graft, llama }: { readonly graft: readonly Speeds[]; readonly llama: readonly Speeds[] },
  memoryMb: number,
): Outcome {
  const rows: string[][] = [];
  const results: Record<string, Json> = { graft_rss_mb: Math.round(memoryMb) };
  for (const key of Object.keys(MEASURES) as (keyof typeof MEASURES)[]) {
    const [ours, theirs] = [graft, llama].map((side) => side.map((speeds) => speeds[key])) as [
      number[],
      number[],
    ];
    const { title, goal } = MEASURES[key];
    const ratio = ratioOf(ours, theirs);
    // Also compare the fastest run of each side: another process can only make runs slower.
    const best = Math.max(...ours) / Math.max(...theirs);
    const shown = [ours, theirs].map((side) => Math.max(...side).toFixed(1));
    rows.push([title, ...shown, showRatio(ratio), `${best.toFixed(2)}×`, `${goal}×`]);
    results[key] = { graft: ours, llama: theirs, ratio: roundedSpread(ratio), ratio_of_fastest: best };
  }
  const head = ["measure", "graft, fastest", "llama.cpp, fastest", "by round", "of the fastest", "goal"];
  return { table: { head, rows }, results };
}
