/** @file What does a token of a long row cost in time and memory? One row a step, by its length, with recomputation. */
import { join } from "node:path";

import { defineBenchmark, type Outcome } from "./bench.ts";
import { MODEL } from "./harness/peers.ts";
import { flagWords } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { interleave } from "./harness/interleave.ts";
import { largestPeak, showPeak } from "./harness/memory.ts";
import { median, rounded } from "./harness/statistics.ts";
import { runGraft, stepSecondsOf, summarizeGraft, type TrainingRun } from "./training/training-sides.ts";
import { readCounts } from "./harness/flags.ts";

export const benchmark = defineBenchmark({
  question: "What does a token of a long row cost in time and memory?",
  flags: {
    model: MODEL,
    lengths: { value: "1024,2048,4096,8192", help: "tokens of a row, one run each" },
    activations: { value: "float32", help: "how block inputs wait for the backward pass" },
    checkpointing: { value: "on", help: "what is computed again: on, or keep-attention" },
    steps: { value: 3, help: "steps of a run; the first two are not timed" },
    rounds: { value: 1, help: "runs of each length, in turn" },
    rank: { value: 8, help: "rank of the adapter" },
  },
  async run(values, context) {
    const { scratch } = context;
    const lengths = readCounts("lengths", values.lengths);
    const data = join(scratch, "text.txt");
    const numTokens = Math.max(...lengths) * values.steps;
    await writeEnoughText(data, numTokens, 1);
    const flags = {
      model: values.model,
      data,
      output: join(scratch, "run"),
      rank: values.rank,
      steps: values.steps,
      "batch-size": 1,
      activations: values.activations,
      "gradient-checkpointing": values.checkpointing,
      overwrite: true,
    } as const;
    const train = async (length: number): Promise<TrainingRun> => {
      const words = flagWords({ ...flags, "max-length": length });
      return summarizeGraft(await runGraft(["train", ...words]));
    };
    const sides = Object.fromEntries(lengths.map((length) => [String(length), () => train(length)]));
    const rounds = await interleave(values.rounds, sides, context);
    const results = lengths.map((length): LengthCost => {
      const runs = rounds[String(length)] ?? [];
      const msPerToken = (1000 * median(stepSecondsOf(runs))) / length;
      return { length, msPerToken, peakMb: largestPeak(runs) };
    });
    return report(results);
  },
});

interface LengthCost {
  readonly length: number;
  readonly msPerToken: number;
  readonly peakMb: number | null;
}

function report(results: readonly LengthCost[]): Outcome {
  const first = results[0]?.msPerToken ?? Number.NaN;
  return {
    table: {
      head: ["tokens", "tokens/s", "time a token, to the first", "peak"],
      rows: results.map(({ length, msPerToken, peakMb }) => [
        String(length),
        (1000 / msPerToken).toFixed(1),
        (msPerToken / first).toFixed(2),
        showPeak(peakMb),
      ]),
    },
    results: Object.fromEntries(
      results.map(({ length, msPerToken, peakMb }) => [
        String(length),
        { msPerToken: rounded(msPerToken, 3), ratio: rounded(msPerToken / first, 3), peakMb },
      ]),
    ),
  };
}
