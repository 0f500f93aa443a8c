/**
 * @file Distribution generalisation: one task, two adapters that saw opposite shares of its answers, and their average.
 *
 *   node experiments/distribution.ts
 */
import { type Setup, readCommand } from "./command.ts";
import { Lab } from "./lab.ts";
import type { Result } from "./report.ts";
import { MOODS, VILLAGE, moodRows } from "./texts.ts";

const SKEW = 0.9;
/** (IA)³'s few numbers need larger steps than LoRA's, by so much. */
const IA3_RATE = 10;
const SIZES = {
  small: { train: 600, test: 400, steps: 300 },
  large: { train: 320, test: 200, steps: 40 },
};

export async function distribution(setup: Setup): Promise<Result> {
  return await Lab.within(setup, async (lab) => {
    const halves = [
      moodRows(1, setup.train, VILLAGE, SKEW),
      moodRows(2, setup.train, VILLAGE, 1 - SKEW),
    ] as const;
    const test = moodRows(3, setup.test);
    const ia3 = { method: "ia3", learningRate: IA3_RATE * setup.learningRate };
    const adapters = {
      a: await lab.train(halves[0]),
      b: await lab.train(halves[1]),
      // From other A's than those of a and b.
      c: await lab.train(halves[1], { seed: 2 }),
      d: await lab.train(halves[0], ia3),
      e: await lab.train(halves[1], ia3),
    };
    const both = await lab.train(halves.flat());
    const ways: readonly (readonly [string, string | null])[] = [
      ["base", null],
      ["mostly happy", adapters.a],
      ["mostly sad", adapters.b],
      ["½ ⊕ ½ (paper)", await lab.combine("a + b", adapters, { type: "paper" })],
      ["½ + ½ (exact)", await lab.combine("0.5*a + 0.5*b", adapters)],
      ["1 + 1 (exact)", await lab.combine("a + b", adapters)],
      ["½ ⊕ ½ of two starts (paper)", await lab.combine("a + c", adapters, { type: "paper" })],
      ["½ + ½ of two starts (exact)", await lab.combine("0.5*a + 0.5*c", adapters)],
      ["mostly happy, (IA)³", adapters.d],
      ["mostly sad, (IA)³", adapters.e],
      ["½ ⊕ ½, (IA)³", await lab.combine("d + e", adapters, { type: "paper" })],
      ["trained on both", both],
    ];
    const rows = [];
    for (const [label, adapter] of ways) {
      rows.push({ label, values: { ...(await lab.score(adapter, test, MOODS)) } });
    }
    const title = "One task, answers skewed 9:1 either way: on the balanced union";
    return {
      name: "distribution",
      title,
      axis: "adapter",
      rows,
      drawn: ["accuracy"],
      measure: "share of right answers",
    };
  });
}

if (import.meta.main) await (await readCommand(SIZES)).run((setup) => distribution(setup));
