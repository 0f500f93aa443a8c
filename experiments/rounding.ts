/**
 * @file PEQA beside LoRA that is rounded once it has learned: losses in 4, 3 and 2 bits, with one scale a row and in groups of 32.
 *
 *   node experiments/rounding.ts
 */
import { transferText } from "../tools/small-model/make-text.ts";
import { documentRows } from "../tools/small-model/make-model.ts";
import { type Setup, readCommand } from "./command.ts";
import { Lab } from "./lab.ts";
import type { Result } from "./report.ts";
import type { Row } from "./texts.ts";

/** Rows are bytes of text here. */
const SIZES = {
  small: { train: 40_000, test: 6000, steps: 80 },
  large: { train: 40_000, test: 6000, steps: 40 },
};
const BITS = [4, 3, 2];
/** One scale for a row, or for so many of its weights. */
const GROUPS = { "one scale a row": 0, "groups of 32": 32 };
/** Of these, the rate with the least loss on a text that is neither trained on nor told. */
const RATES = { lora: [2e-3, 5e-3, 1e-2], peqa: [5e-4, 1e-3, 2e-3, 4e-3] };

/** Documents of facts that no model knows: texts, and questions with an answer. */
function factsOf(numBytes: number, seed: number): (Row | string)[] {
  const lines = documentRows(transferText(numBytes, seed)).trimEnd().split("\n");
  return lines.map((line) => {
    const { text, messages } = JSON.parse(line) as { text?: string; messages?: { content: string }[] };
    return text ?? { question: messages![0]!.content, answer: messages![1]!.content };
  });
}

export async function rounding(setup: Setup, allBits = BITS, allRates = RATES): Promise<Result> {
  return await Lab.within(setup, async (lab) => {
    const [learned, chosen, told] = [factsOf(setup.train, 1), factsOf(setup.test, 2), factsOf(setup.test, 3)];
    const best = async (method: keyof typeof RATES, options: object): Promise<string> => {
      const tried = [];
      for (const learningRate of allRates[method]) {
        const adapter = await lab.train(learned, { method, learningRate, ...options });
        tried.push({ adapter, loss: await lab.loss(adapter, chosen) });
      }
      return tried.reduce((least, next) => (next.loss < least.loss ? next : least)).adapter;
    };
    const lora = await best("lora", { rank: 8 });
    const rows: Result["rows"][number][] = [
      { label: "base", values: { floats: await lab.loss(null, told) } },
      { label: "LoRA", values: { floats: await lab.loss(lora, told) } },
    ];
    const overBits = async (label: string, lossIn: (bits: number) => Promise<number>): Promise<void> => {
      const values: Record<string, number> = {};
      for (const bits of allBits) values[`${bits} bits`] = await lossIn(bits);
      rows.push({ label, values });
    };
    for (const [label, groupSize] of Object.entries(GROUPS)) {
      await overBits(`base, rounded, ${label}`, (bits) => lab.lossRounded(null, told, { bits, groupSize }));
      await overBits(`LoRA, then rounded, ${label}`, (bits) =>
        lab.lossRounded(lora, told, { bits, groupSize }),
      );
      await overBits(`PEQA, ${label}`, async (bits) =>
        lab.loss(await best("peqa", { bits, groupSize }), told),
      );
    }
    const drawn = ["floats", ...allBits.map((bits) => `${bits} bits`)];
    const title = `Loss on facts that the model did not know, after ${setup.steps} steps`;
    return { name: "rounding", title, axis: "way", rows, drawn, measure: "loss" };
  });
}

if (import.meta.main) await (await readCommand(SIZES)).run((setup) => rounding(setup));
