/** @file How much of what an adapter learned is lost to rounding when it is merged into a file of few bits? */
import { join } from "node:path";
import { defineBenchmark, type Json } from "./bench.ts";
import { flagWords, wordsOf } from "./harness/command-line.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { eventsOf, runGraft } from "./training/training-sides.ts";

const EXAMPLES = join("examples", "quickstart");

/** Trainings, and the flags with which each result is merged; without flags it gets the form of the base. */
const TRAININGS = [
  { method: "lora", steps: 8, outputs: ["", "--dtype q8_0", "--to hf"] },
  { method: "ia3", steps: 6, outputs: [""] },
  { method: "peqa", steps: 10, outputs: [""] },
] as const;

const percent = (share: Json | undefined): string => `${(100 * Number(share)).toPrecision(2)} %`;

export const benchmark = defineBenchmark({
  question:
    "What does rounding take back of what an adapter learned, when it is merged into a file of few bits?",
  ignoresLoad: true,
  flags: {
    model: MODEL,
    length: { value: 96, help: "tokens of an example at most" },
    threads: { value: 2, help: "CPU threads" },
  },
  async run(values, context) {
    const model = await findModel(values.model, context);
    const held = join(EXAMPLES, "held-out.jsonl");
    const common = { model, threads: values.threads, "max-length": values.length };
    const results: { readonly run: string; readonly merged: Readonly<Record<string, Json>> }[] = [];
    for (const { method, steps, outputs } of TRAININGS) {
      const adapter = join(context.scratch, method);
      const task = { method, steps, data: join(EXAMPLES, "train.jsonl"), output: adapter };
      await runGraft(["train", ...flagWords({ ...common, ...task })]);
      for (const [i, flags] of outputs.entries()) {
        const output = join(context.scratch, `${method}-${i}${flags.includes("hf") ? "" : ".gguf"}`);
        const merge = flagWords({ ...common, adapter, output, "eval-data": held });
        const { value } = eventsOf(await runGraft(["merge", ...merge, ...wordsOf(flags)]), "done")[0]!;
        const run = `${method}, ${steps} steps, ${flags || "as it is"}`;
        context.say(`${run}: ${Number(value["loss_before"])} before, ${Number(value["loss_after"])} after`);
        const { event: _, output: __, ...merged } = value as Record<string, Json>;
        results.push({ run, merged });
      }
    }
    return {
      table: {
        head: ["adapter and output", "error, mean", "worst", "change taken back", "loss before", "after"],
        rows: results.map(({ run, merged }) => [
          run,
          percent(merged["mean_error"]),
          percent(merged["worst_error"]),
          percent(merged["lost_change"]),
          Number(merged["loss_before"]).toFixed(4),
          Number(merged["loss_after"]).toFixed(4),
        ]),
      },
      results: { merges: results },
    };
  },
});
