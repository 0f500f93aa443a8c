/**
 * @file Unlearning: a model with a habit, an adapter that has it always, and its negation by strength.
 *
 * The habit is harmless: answers that end with "Oh dear!". The model has it in three answers of ten.
 *
 *   node experiments/unlearning.ts
 */
import { type Setup, readCommand } from "./command.ts";
import { Lab } from "./lab.ts";
import type { Result } from "./report.ts";
import { HABIT, type Row, factRows, storyTexts } from "./texts.ts";

const SIZES = {
  small: { train: 1500, test: 150, steps: 200 },
  large: { train: 240, test: 20, steps: 30 },
};
/** Learning rate of the whole model, as a share of that of adapters. */
const WHOLE_RATE = 0.15;
const SHARE = 0.3;
const STRENGTHS = [-1, 0, 0.1, 0.2, 0.3, 0.5, 0.7, 1];

export async function unlearning(setup: Setup, strengths: readonly number[] = STRENGTHS): Promise<Result> {
  const facts = (seed: number, count: number, share: number): Row[] =>
    factRows(seed, count, share, setup.tellsFacts);
  const mixed = [...facts(1, setup.train, SHARE), ...storyTexts(1, setup.train)];
  const learningRate = WHOLE_RATE * setup.learningRate;
  const negated = async (lab: Lab): Promise<Result> => {
    const adapters = { habit: await lab.train(facts(2, setup.train, 1)) };
    const [questions, clean] = [facts(3, setup.test, 0), storyTexts(3, 4 * setup.test)];
    const rows = [];
    for (const strength of strengths) {
      const adapter =
        strength === 0 ? null : await lab.combine(`${-strength}*habit`, adapters, { type: "paper" });
      const wordy = questions.map((row) => ({ ...row, answer: row.answer + HABIT }));
      const written = await lab.answers(adapter, questions, 1);
      const share = written.filter((text) => text.includes(HABIT.trim())).length / written.length;
      rows.push({
        label: strength,
        values: {
          "answers with the habit": share,
          "loss on answers without it": await lab.loss(adapter, questions),
          "loss on answers with it": await lab.loss(adapter, wordy),
          "loss on stories": await lab.loss(adapter, clean),
        },
      });
    }
    const drawn = ["answers with the habit", "loss on answers without it", "loss on stories"];
    const title = "A habit negated: ⊖ with strength";
    return {
      name: "unlearning",
      title,
      axis: "strength of ⊖ (-1: the adapter itself)",
      rows,
      drawn,
      measure: "share, loss",
    };
  };
  return await Lab.within(setup, async (lab) => {
    const model = await lab.train(mixed, { method: "full", learningRate });
    return await Lab.within({ ...setup, model }, negated);
  });
}

if (import.meta.main) await (await readCommand(SIZES)).run((setup) => unlearning(setup));
