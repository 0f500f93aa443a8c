/** @file How good does each method get on images, with how many numbers and bytes, in what time? */
import { join } from "node:path";
import { type Comparison, METHODS, compare, percent } from "./images/compare.ts";
import { readFashion } from "./images/fashion.ts";
import { defineBenchmark } from "./bench.ts";
import { median, rounded } from "./harness/statistics.ts";

export const benchmark = defineBenchmark({
  question: "How well does a Vision Transformer follow changed images by each method, and at what cost?",
  flags: {
    data: { value: "/usr/share/datasets/fashion-mnist", help: "folder of Fashion-MNIST, four .gz files" },
    tune: { value: 4000, help: "changed images to train on" },
    test: { value: 2000, help: "changed images to measure on" },
    "pretrain-steps": { value: 1000, help: "steps on the images as they are" },
    steps: { value: 300, help: "steps on the changed images" },
    batch: { value: 64, help: "images of a step" },
    rounds: { value: 3, help: "runs of everything, each from another seed" },
    threads: { value: 0, help: "threads; 0: all" },
  },
  async run(values, { say, scratch }) {
    const task = readFashion(values.data, values.tune, values.test);
    const rounds: Comparison[] = [];
    for (let seed = 1; seed <= values.rounds; seed++) {
      const settings = {
        pretrainSteps: values["pretrain-steps"],
        tuneSteps: values.steps,
        batchSize: values.batch,
        seed,
        methods: METHODS,
        ...(values.threads > 0 ? { threads: values.threads } : {}),
      };
      rounds.push(await compare(task, settings, join(scratch, String(seed)), say));
    }
    const methods = METHODS.map((_, i) => {
      const runs = rounds.flatMap(({ results }) => results[i] ?? []);
      const { method = "", trainableParameters = 0, optimizerBytes = 0 } = runs[0] ?? {};
      return {
        method,
        trainable_parameters: trainableParameters,
        optimizer_bytes: optimizerBytes,
        accuracy: runs.map((run) => rounded(run.accuracy, 4)),
        seconds: runs.map((run) => rounded(run.seconds, 1)),
      };
    });
    return {
      table: {
        head: ["method", "trained numbers", "optimizer bytes", "accuracy", "seconds"],
        rows: methods.map((m) => [
          m.method,
          m.trainable_parameters.toLocaleString("en"),
          m.optimizer_bytes.toLocaleString("en"),
          percent(median(m.accuracy)),
          median(m.seconds).toFixed(1),
        ]),
      },
      results: {
        pretrained_accuracy: rounds.map(({ pretrained }) => rounded(pretrained.own, 4)),
        untuned_accuracy: rounds.map(({ pretrained }) => rounded(pretrained.other, 4)),
        methods,
      },
    };
  },
});
