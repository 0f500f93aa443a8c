/** @file How fast does graft write, token by token, compared with llama.cpp on the same GGUF file? */
import { availableParallelism } from "node:os";
import { DEFAULT_MODEL } from "../src/hub/resolve.ts";
import { defineBenchmark, type Outcome } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, peakRatio, showPeak } from "./harness/memory.ts";
import { findModel, llamaVersion, runLlama } from "./harness/peers.ts";
import { median, ratioOf, rounded, roundedSpread, showRatio } from "./harness/statistics.ts";
import { eventsOf, runGraft } from "./training/training-sides.ts";

/** What one side wrote, and how fast. */
interface Writing {
  readonly ids: readonly number[];
  readonly promptIds: readonly number[];
  /** New tokens per second, after the first one. */
  readonly tokensPerSecond: number;
  readonly prefillMs: number;
  /** From the start of the process to the first new token. */
  readonly firstTokenMs: number;
  readonly peakMb: number | null;
}

interface Task {
  readonly model: string;
  readonly prompt: string;
  readonly maxNewTokens: number;
  readonly threads: number;
  readonly flags: readonly string[];
}

/** Runs `graft generate`, greedy. */
async function writeWithGraft({ model, prompt, maxNewTokens, threads, flags }: Task): Promise<Writing> {
  const words = flagWords({ model, prompt, "max-new-tokens": maxNewTokens, temperature: 0, threads });
  const run = await runGraft(["generate", ...words, ...flags]);
  const done = eventsOf(run, "done")[0];
  if (done === undefined) throw new Error("Cannot read the run of graft generate: no done event");
  const ids = done.value["ids"] as number[];
  const tokensPerSecond = Number(done.value["tokens_per_second"]);
  return {
    ids,
    promptIds: done.value["prompt_ids"] as number[],
    tokensPerSecond,
    prefillMs: Number(done.value["first_token_ms"]),
    firstTokenMs: done.atMs - (1000 * (ids.length - 1)) / tokensPerSecond,
    peakMb: run.peakMb,
  };
}

/** Runs llama.cpp on the same prompt ids. */
async function writeWithLlama(
  { model, maxNewTokens, threads }: Task,
  promptIds: readonly number[],
): Promise<Writing & { readonly release: string }> {
  const run = await runLlama("llama_decode.mjs", { model, promptIds, maxNewTokens, threads });
  const [first, done] = [eventsOf(run, "first")[0], eventsOf(run, "done")[0]];
  if (first === undefined || done === undefined)
    throw new Error("Cannot read the run of llama.cpp: events are missing");
  const ids = done.value["ids"] as number[];
  return {
    ids,
    promptIds,
    tokensPerSecond: (ids.length - 1) / Number(done.value["seconds"]),
    prefillMs: Number(first.value["prefillMs"]),
    firstTokenMs: first.atMs,
    peakMb: run.peakMb,
    release: String(done.value["release"]),
  };
}

/** Counts how many ids two lists have in common at their beginning. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const different = a.findIndex((id, i) => id !== b[i]);
  return different < 0 ? a.length : different;
}

export const benchmark = defineBenchmark({
  question: "How fast does graft write, token by token, against llama.cpp on the same GGUF file?",
  flags: {
    model: { value: DEFAULT_MODEL, help: "model: a .gguf file, or a name whose model is one" },
    "graft-flags": { value: "", help: "further flags of graft generate, in one word with blanks" },
    prompt: { value: "Once upon a time, in a small village by the sea,", help: "what both go on from" },
    tokens: { value: 128, help: "new tokens of a run" },
    rounds: { value: 3, help: "runs of each side" },
    threads: { value: 0, help: "threads of both sides; 0: all processors" },
  },
  async run(values, context) {
    const model = await findModel(values.model, context);
    if (!model.endsWith(".gguf"))
      throw new Error(
        `Cannot decode "${model}" with llama.cpp: expected a .gguf file, name one with --model`,
      );
    const flags = wordsOf(values["graft-flags"]);
    const { prompt, tokens: maxNewTokens } = values;
    // By default node-llama-cpp uses more threads than there are processors, and stalls.
    const threads = values.threads > 0 ? values.threads : availableParallelism();
    const task = { model, prompt, maxNewTokens, threads, flags };
    const version = llamaVersion();
    let promptIds: readonly number[] = [];
    const rounds = await interleave(
      values.rounds,
      {
        graft: async () => {
          const writing = await writeWithGraft(task);
          promptIds = writing.promptIds;
          return writing;
        },
        llama: () => writeWithLlama(task, promptIds),
      },
      context,
    );
    const release = rounds.llama[0]?.release ?? "unknown";
    return { versions: { "node-llama-cpp": version, "llama.cpp": release }, ...compare(rounds) };
  },
});

function compare(rounds: {
  readonly graft: readonly Writing[];
  readonly llama: readonly Writing[];
}): Outcome {
  const pick = (side: "graft" | "llama", key: "tokensPerSecond" | "prefillMs" | "firstTokenMs"): number[] =>
    rounds[side].map((writing) => writing[key]);
  const ratio = (key: "tokensPerSecond" | "prefillMs" | "firstTokenMs"): ReturnType<typeof ratioOf> =>
    ratioOf(pick("graft", key), pick("llama", key));
  const [graftIds, llamaIds] = [rounds.graft[0]?.ids ?? [], rounds.llama[0]?.ids ?? []];
  const numEqual = commonPrefix(graftIds, llamaIds);
  const peak = { graft: largestPeak(rounds.graft), llama: largestPeak(rounds.llama) };
  const speed = ratio("tokensPerSecond");
  const milliseconds = (values: readonly number[]): string => `${median(values).toFixed(0)} ms`;
  return {
    table: {
      head: ["side", "tokens/s", "prefill", "start to first token", "peak memory", "tokens"],
      rows: [
        ...(["graft", "llama"] as const).map((side) => [
          side === "llama" ? "llama.cpp" : side,
          median(pick(side, "tokensPerSecond")).toFixed(1),
          milliseconds(pick(side, "prefillMs")),
          milliseconds(pick(side, "firstTokenMs")),
          showPeak(peak[side]),
          String(rounds[side][0]?.ids.length),
        ]),
        ["graft / llama.cpp", showRatio(speed), showRatio(ratio("prefillMs")), "", "", `${numEqual} equal`],
      ],
    },
    results: {
      tokens_per_second: { graft: pick("graft", "tokensPerSecond"), llama: pick("llama", "tokensPerSecond") },
      speed_ratio: roundedSpread(speed),
      prefill_ms: { graft: pick("graft", "prefillMs"), llama: pick("llama", "prefillMs") },
      first_token_ms: { graft: pick("graft", "firstTokenMs"), llama: pick("llama", "firstTokenMs") },
      first_token_ratio: rounded(ratio("firstTokenMs").median, 3),
      prompt_tokens: rounds.graft[0]?.promptIds.length ?? 0,
      new_tokens: { graft: graftIds.length, llama: llamaIds.length },
      equal_ids: numEqual,
      ids_agree: numEqual === Math.max(graftIds.length, llamaIds.length),
      peak_mb: peak,
      memory_ratio: peakRatio(peak.graft, peak.llama),
    },
  };
}
