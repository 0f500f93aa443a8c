/**
 * @file Unlearning: a model with a habit, an adapter that has it always, and its negation by strength.
 *
 * The habit is harmless: answers that end with "Oh dear!". The model has it in three answers of ten.
 *
 *   node experiments/unlearning.ts
 */
import { smallModelText } from "../tools/make-small-model-text.ts";
import { Lab, type Size, chosenSize } from "./lab.ts";
import { type Result, tell } from "./report.ts";
import { HABIT, factRows } from "./texts.ts";

const SIZE: Size = { train: 1500, test: 150, steps: 200 };
const SHARE = 0.3;
const STRENGTHS = [-1, 0, 0.1, 0.2, 0.3, 0.5, 0.7, 1];

export async function unlearning(size: Size, strengths: readonly number[] = STRENGTHS): Promise<Result> {
  const first = await Lab.open();
  let lab: Lab | null = null;
  try {
    const mixed = [...factRows(1, size.train, SHARE), ...stories(1, size.train)];
    lab = await Lab.open(await first.train(mixed, size, { method: "full", learningRate: 3e-4 }));
    const adapters = { habit: await lab.train(factRows(2, size.train, 1), size) };
    const [questions, clean] = [factRows(3, size.test, 0), stories(3, 4 * size.test)];
    const rows = [];
    for (const strength of strengths) {
      const adapter =
        strength === 0 ? null : await lab.combine(`${-strength}*habit`, adapters, { type: "paper" });
      const wordy = questions.map((row) => ({ ...row, answer: row.answer + HABIT }));
      rows.push({
        label: strength,
        values: {
          "answers with the habit": await lab.habitShare(adapter, questions),
          "loss on answers without it": await lab.loss(adapter, questions),
          "loss on answers with it": await lab.loss(adapter, wordy),
          "loss on stories": await lab.loss(adapter, clean),
        },
      });
    }
    const drawn = ["answers with the habit", "loss on answers without it", "loss on stories"];
    const title = "A habit negated: ⊖ with strength";
    return { name: "unlearning", title, axis: "strength of ⊖ (-1: the adapter itself)", rows, drawn };
  } finally {
    await lab?.close();
    await first.close();
  }
}

/** Documents of the model's own text without marks of chats. */
function stories(seed: number, count: number): string[] {
  const documents = smallModelText(count * 800, seed + 100).split("\n\n");
  return documents.filter((text) => text.length > 40 && !text.includes("<|im_start|>")).slice(0, count);
}

if (import.meta.main) {
  const start = performance.now();
  tell(await unlearning(chosenSize(SIZE)), (performance.now() - start) / 1000);
}
