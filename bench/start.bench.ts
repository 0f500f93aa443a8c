/** @file How long does a user wait for the first training step, and for the first written token? */
import { join } from "node:path";

import { defineBenchmark, type Outcome } from "./bench.ts";
import { flagWords } from "./harness/command-line.ts";
import { writeEnoughText } from "./harness/enough-text.ts";
import { interleave } from "./harness/interleave.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { roundedSpread, type Spread, spread } from "./harness/statistics.ts";
import { eventsOf, runGraft } from "./training/training-sides.ts";

export const benchmark = defineBenchmark({
  question: "How long does a user wait for the first training step, and for the first written token?",
  flags: {
    model: MODEL,
    batch: { value: 4, help: "rows of the training step" },
    "max-length": { value: 256, help: "tokens of a row" },
    prompt: { value: "What is a forest?", help: "what the first token answers" },
    rounds: { value: 3, help: "runs of each command" },
    threads: { value: 0, help: "threads; 0: all" },
  },
  async run(values, context) {
    const { scratch } = context;
    const model = await findModel(values.model, context);
    const { batch, "max-length": length, rounds: numRounds, prompt } = values;
    const threads = values.threads || undefined;
    const data = join(scratch, "text.txt");
    await writeEnoughText(data, batch * length, 1);
    const rounds = await interleave(
      numRounds,
      {
        train: async () => {
          const size = { steps: 1, "batch-size": batch, "max-length": length, threads };
          const flags = { model, data, output: join(scratch, "run"), overwrite: true, ...size } as const;
          const run = await runGraft(["train", ...flagWords(flags)]);
          const step = eventsOf(run, "step")[0];
          const stepMs = (1000 * Number(step?.value["tokens"])) / Number(step?.value["tokens_per_second"]);
          return { firstStepMs: step?.atMs ?? Number.NaN, stepMs };
        },
        generate: async () => {
          const flags = { model, prompt, chat: true, "max-new-tokens": 1, threads } as const;
          const run = await runGraft(["generate", ...flagWords(flags)]);
          return eventsOf(run, "done")[0]?.atMs ?? Number.NaN;
        },
        help: async () => (await runGraft(["--help"])).wallMs,
      },
      context,
    );
    const waits = {
      first_step_ms: spread(rounds.train.map((run) => run.firstStepMs)),
      of_which_step_ms: spread(rounds.train.map((run) => run.stepMs)),
      first_token_ms: spread(rounds.generate),
      help_ms: spread(rounds.help),
    };
    return report(waits);
  },
});

/** What is waited for, as shown in the table. */
const NAMES = {
  first_step_ms: "graft train: start to end of step 1",
  of_which_step_ms: "  of which the step itself",
  first_token_ms: "graft generate: start to first token",
  help_ms: "graft --help",
};

function report(waits: Readonly<Record<keyof typeof NAMES, Spread>>): Outcome {
  return {
    table: {
      head: ["wait", "median", "lowest", "highest"],
      rows: Object.entries(waits).map(([key, { median, lowest, highest }]) => [
        NAMES[key as keyof typeof NAMES],
        ...[median, lowest, highest].map((ms) => `${(ms / 1000).toFixed(2)} s`),
      ]),
    },
    results: Object.fromEntries(Object.entries(waits).map(([key, wait]) => [key, roundedSpread(wait, 0)])),
  };
}
