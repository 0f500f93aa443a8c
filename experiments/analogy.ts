/**
 * @file Domain transfer by analogy: a task learned in one world, the worlds themselves from texts without answers.
 *
 *   target task = (1 - c) · source task ⊕ c · (target texts ⊖ source texts)     paper, and exact: with + for ⊕
 *   added: the source task whole + c · (target texts - source texts);  shrunk: (1 - c) · source task alone
 *
 *   node experiments/analogy.ts
 */
import type { Score } from "./choices.ts";
import { type Setup, readCommand } from "./command.ts";
import { Lab } from "./lab.ts";
import type { Result } from "./report.ts";
import { HARBOUR, MOODS, VILLAGE, moodRows, moodTexts } from "./texts.ts";

const SIZES = {
  small: { train: 1500, test: 1000, steps: 300 },
  large: { train: 320, test: 160, steps: 40 },
};
const SHARES = [0, 0.1, 0.2, 0.3, 0.5];

export async function analogy(setup: Setup, shares: readonly number[] = SHARES): Promise<Result> {
  return await Lab.within(setup, async (lab) => {
    const adapters = {
      task: await lab.train(moodRows(1, setup.train)),
      here: await lab.train(moodTexts(2, setup.train, VILLAGE)),
      there: await lab.train(moodTexts(3, setup.train, HARBOUR)),
    };
    const test = moodRows(4, setup.test, HARBOUR);
    const whole = await lab.score(adapters.task, test, MOODS);
    const rows = [];
    for (const c of shares) {
      const ways = {
        // How much is owed to a smaller share of the task alone.
        shrunk: await lab.combine(`${1 - c}*task`, adapters),
        paper: await lab.combine(`${1 - c}*task + ${c}*(there - here)`, adapters, { type: "paper" }),
        exact: await lab.combine(`${1 - c}*task + ${c}*there - ${c}*here`, adapters),
        added: await lab.combine(`task + ${c}*there - ${c}*here`, adapters),
      };
      const scores = new Map<string, Score>();
      for (const [name, adapter] of Object.entries(ways)) {
        scores.set(name, c === 0 ? whole : await lab.score(adapter, test, MOODS));
      }
      rows.push({
        label: c,
        values: Object.fromEntries(
          [...scores].flatMap(([name, { accuracy, loss }]) => [
            [`${name}: accuracy`, accuracy],
            [`${name}: loss`, loss],
          ]),
        ),
      });
    }
    const drawn = ["shrunk", "paper", "exact", "added"].map((name) => `${name}: accuracy`);
    const title = "A task of the village in the harbour, by share of harbour ⊖ village";
    return { name: "analogy", title, axis: "c", rows, drawn, measure: "accuracy" };
  });
}

if (import.meta.main) await (await readCommand(SIZES)).run((setup) => analogy(setup));
