/**
 * @file Multi-tasking: adapters of two tasks, and one adapter that is their combination, on both.
 *
 *   node experiments/multitask.ts
 */
import { type Setup, readCommand } from "./command.ts";
import { Lab } from "./lab.ts";
import type { Result } from "./report.ts";
import { COUNTS, MOODS, countRows, moodRows } from "./texts.ts";

const SIZES = {
  small: { train: 1500, test: 300, steps: 400 },
  large: { train: 320, test: 120, steps: 40 },
};

export async function multitask(setup: Setup): Promise<Result> {
  return await Lab.within(setup, async (lab) => {
    const [moods, counts] = [moodRows(1, setup.train), countRows(2, setup.train)];
    const adapters = { m: await lab.train(moods), c: await lab.train(counts) };
    const both = await lab.train([...moods, ...counts], { steps: 2 * setup.steps });
    const ways: readonly (readonly [string, string | null])[] = [
      ["base", null],
      ["moods", adapters.m],
      ["counts", adapters.c],
      ["½ ⊕ ½ (paper)", await lab.combine("m + c", adapters, { type: "paper" })],
      ["½ + ½ (exact)", await lab.combine("0.5*m + 0.5*c", adapters)],
      ["1 + 1 (exact)", await lab.combine("m + c", adapters)],
      ["1 + 1, rank 8", await lab.combine("m + c", adapters, { type: "svd", rank: 8 })],
      ["trained on both", both],
    ];
    const [moodTest, countTest] = [moodRows(3, setup.test), countRows(4, setup.test)];
    const rows = [];
    for (const [label, adapter] of ways) {
      const mood = await lab.score(adapter, moodTest, MOODS);
      const count = await lab.score(adapter, countTest, COUNTS);
      const mean = (mood.accuracy + count.accuracy) / 2;
      rows.push({
        label,
        values: { moods: mood.accuracy, counts: count.accuracy, mean, loss: (mood.loss + count.loss) / 2 },
      });
    }
    const title = "Two tasks: share of right answers";
    return {
      name: "multitask",
      title,
      axis: "adapter",
      rows,
      drawn: ["moods", "counts", "mean"],
      measure: "share of right answers",
    };
  });
}

if (import.meta.main) await (await readCommand(SIZES)).run((setup) => multitask(setup));
