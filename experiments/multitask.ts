/**
 * @file Multi-tasking: adapters of two tasks, and one adapter that is their combination, on both.
 *
 *   node experiments/multitask.ts
 */
import { Lab, type Size, chosenSize } from "./lab.ts";
import { type Result, tell } from "./report.ts";
import { COUNTS, MOODS, countRows, moodRows } from "./texts.ts";

const SIZE: Size = { train: 1500, test: 300, steps: 400 };

export async function multitask(size: Size): Promise<Result> {
  const lab = await Lab.open();
  try {
    const [moods, counts] = [moodRows(1, size.train), countRows(2, size.train)];
    const adapters = { m: await lab.train(moods, size), c: await lab.train(counts, size) };
    const both = await lab.train([...moods, ...counts], { steps: 2 * size.steps });
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
    const [moodTest, countTest] = [moodRows(3, size.test), countRows(4, size.test)];
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
    return { name: "multitask", title, axis: "adapter", rows, drawn: ["moods", "counts", "mean"] };
  } finally {
    await lab.close();
  }
}

if (import.meta.main) {
  const start = performance.now();
  tell(await multitask(chosenSize(SIZE)), (performance.now() - start) / 1000);
}
