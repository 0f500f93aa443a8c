/** @file What do several workers gain over one when their parameters are averaged every few steps, and what does outer momentum add? */
import { join } from "node:path";
import { type AveragedOptions, trainAveraged } from "../src/train/files/averaged-training.ts";
import { defineBenchmark } from "./bench.ts";
import { flagWords } from "./harness/command-line.ts";
import { MODEL, findModel } from "./harness/peers.ts";
import { eventsOf, runGraft } from "./training/training-sides.ts";

const EXAMPLES = join("examples", "quickstart");

/** A training: the number of its workers, and of the steps of each. */
interface Side extends Pick<AveragedOptions, "outerLearningRate" | "outerMomentum"> {
  readonly name: string;
  readonly workers: number;
  readonly steps: number;
}

export const benchmark = defineBenchmark({
  question:
    "What do several workers gain over one, when what they learned is averaged every few steps, and what does outer momentum add?",
  ignoresLoad: true,
  flags: {
    model: MODEL,
    workers: { value: 4, help: "workers, each on its part of the data" },
    steps: { value: 8, help: "steps of each worker" },
    sync: { value: 4, help: "steps between two averages" },
    rate: { value: 0.7, help: "outer learning rate of the side with momentum" },
    momentum: { value: 0.9, help: "its outer momentum" },
    batch: { value: 2, help: "rows of a step" },
    length: { value: 96, help: "tokens of a row at most" },
    threads: { value: 2, help: "CPU threads" },
  },
  async run(values, { say, scratch }) {
    const { workers, steps, threads, length } = values;
    const model = await findModel(values.model, { say });
    const common = { model, threads, maxLength: length, batchSize: values.batch };
    const outer = { outerLearningRate: values.rate, outerMomentum: values.momentum };
    const sides: readonly Side[] = [
      { name: "one worker", workers: 1, steps },
      { name: `${workers} workers`, workers, steps },
      { name: `${workers} workers, η ${values.rate}, μ ${values.momentum}`, workers, steps, ...outer },
      { name: `one worker, ${workers} times the steps`, workers: 1, steps: workers * steps },
    ];
    const results = [];
    for (const [i, { name, steps: own, ...brought }] of sides.entries()) {
      const output = join(scratch, `side-${i}`);
      const input = { ...common, data: join(EXAMPLES, "train.jsonl"), output, steps: own };
      await trainAveraged(input, { ...brought, syncEvery: values.sync });
      const held = {
        model,
        adapter: output,
        data: join(EXAMPLES, "held-out.jsonl"),
        "max-length": length,
        threads,
      };
      const [done] = eventsOf(await runGraft(["eval", ...flagWords(held)]), "done");
      const loss = Number(done!.value["loss"]);
      say(`${name}: held-out loss ${loss.toFixed(4)}`);
      results.push({ name, workers: brought.workers, steps: own, loss });
    }
    return {
      table: {
        head: ["training", "steps of all workers", "held-out loss"],
        rows: results.map(({ name, loss, ...side }) => [
          name,
          String(side.workers * side.steps),
          loss.toFixed(4),
        ]),
      },
      results: { sides: results },
    };
  },
});
