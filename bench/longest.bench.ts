/** @file How long a sequence fits into a budget of memory, with the whole backward pass and with most of it left out? */
import { join } from "node:path";

import { defineBenchmark } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { rounded } from "./harness/statistics.ts";
import { runGraft } from "./training/training-sides.ts";

const SEED = 1;

export const benchmark = defineBenchmark({
  question:
    "How long a sequence fits into a budget of memory, with the whole backward pass and with most of it left out?",
  ignoresLoad: true,
  flags: {
    model: MODEL,
    budget: { value: 1500, help: "MB of resident memory that the process may take at its peak" },
    rate: { value: 0.875, help: "share of the backward pass that the other side leaves out" },
    grain: { value: 64, help: "lengths tried are multiples of this" },
    most: { value: 8192, help: "tokens to try at most" },
    steps: { value: 2, help: "steps of a try" },
    "graft-flags": {
      value: "--gradient-checkpointing off",
      help: "further flags of graft train, in one word with blanks",
    },
  },
  async run(values, { say, scratch }) {
    const data = join(scratch, "text.txt");
    const { budget, rate, grain, most, steps } = values;
    await writeEnoughText(data, most * steps, SEED);
    const model = await findModel(values.model, { say });
    const run = {
      model,
      data,
      "batch-size": 1,
      steps,
      output: join(scratch, "run"),
      overwrite: true,
    } as const;
    const shared = [...flagWords(run), ...wordsOf(values["graft-flags"])];
    const peakOf = async (own: readonly string[], length: number): Promise<number> => {
      const { peakMb } = await runGraft(["train", ...shared, ...own, ...flagWords({ "max-length": length })]);
      if (peakMb === null) throw new Error("Cannot read the peak of memory: it is told on Linux alone");
      say(`${own.join(" ") || "whole"}: ${length} tokens, ${Math.round(peakMb)} MB`);
      return peakMb;
    };
    const whole = await longestWithin(budget, { grain, most }, (length) => peakOf([], length));
    const drop = flagWords({ dropbp: rate, "dropbp-rates": "uniform" });
    const dropped = await longestWithin(budget, { grain, most }, (length) => peakOf(drop, length));
    const ratio = dropped.length / whole.length;
    const row = (name: string, { length, peakMb }: Longest): string[] => [
      name,
      String(length),
      `${Math.round(peakMb)} MB`,
    ];
    return {
      table: {
        head: ["backward pass", "longest", "peak memory"],
        rows: [row("whole", whole), row(`without ${rate}`, dropped), ["ratio", `${ratio.toFixed(2)}×`, ""]],
      },
      results: {
        whole_tokens: whole.length,
        whole_peak_mb: Math.round(whole.peakMb),
        dropped_tokens: dropped.length,
        dropped_peak_mb: Math.round(dropped.peakMb),
        ratio: rounded(ratio, 3),
        is_most: dropped.length === most,
      },
    };
  },
});

/** A length and the memory that it takes. */
interface Longest {
  readonly length: number;
  readonly peakMb: number;
}

/**
 * Finds the longest length, a multiple of `grain`, whose peak is within a budget: by doubling, then by bisection.
 * @throws Error when not even the shortest fits
 */
export async function longestWithin(
  budgetMb: number,
  { grain, most }: { readonly grain: number; readonly most: number },
  peakOf: (length: number) => Promise<number>,
): Promise<Longest> {
  let best: Longest | null = null;
  let tooLong = Math.floor(most / grain) + 1;
  let next = 1;
  while (next < tooLong) {
    const length = next * grain;
    const peakMb = await peakOf(length);
    if (peakMb <= budgetMb) best = { length, peakMb };
    else tooLong = next;
    const fits = (best?.length ?? 0) / grain;
    const isOpen = tooLong > Math.floor(most / grain);
    next = isOpen ? Math.min(2 * Math.max(1, fits), tooLong - 1) : Math.floor((fits + tooLong) / 2);
    if (next <= fits) break;
  }
  if (best) return best;
  throw new Error(`Cannot fit ${grain} tokens into ${budgetMb} MB: give a larger --budget`);
}
