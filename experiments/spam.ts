/**
 * @file Unlearning on real texts: messages of which some are spam, which stands where others have toxic ones.
 *
 *   node experiments/spam.ts --model SmolLM2-135M-Instruct SMSSpamCollection
 *
 * The file is the SMS Spam Collection of the UCI repository: a message a line, "ham" or "spam" before it and a tab. An
 * adapter that was trained on spam is negated; and the recipe θ ⊕ λ(θ ⊖ τ) is applied to an adapter θ of all messages and
 * τ, which went on from θ with spam alone, as published and exactly.
 */
import { readFileSync } from "node:fs";
import { type Setup, readCommand } from "./command.ts";
import { Lab } from "./lab.ts";
import type { Result } from "./report.ts";
import { storyTexts } from "./texts.ts";

/** Rows of each kind. */
const SIZES = {
  small: { train: 400, test: 200, steps: 200 },
  large: { train: 240, test: 60, steps: 30 },
};
const STRENGTHS = [0.3, 0.5, 1];

/** Messages, those to be unlearned apart. */
interface Messages {
  readonly ham: readonly string[];
  readonly spam: readonly string[];
}

export async function spam(
  setup: Setup,
  messages: Messages,
  strengths: readonly number[] = STRENGTHS,
): Promise<Result> {
  const { train, test } = setup;
  const [ham, unwanted] = [messages.ham, messages.spam].map((texts) => ({
    train: texts.slice(0, train),
    test: texts.slice(train, train + test),
  }));
  const stories = storyTexts(3, test);
  const rows: { readonly label: string; readonly values: Record<string, number> }[] = [];
  await Lab.within(setup, async (lab) => {
    const add = async (label: string, adapter: string | null): Promise<void> => {
      const values = {
        "loss on spam": await lab.loss(adapter, unwanted!.test),
        "loss on ham": await lab.loss(adapter, ham!.test),
        "loss on stories": await lab.loss(adapter, stories),
      };
      rows.push({ label, values });
    };
    await add("base", null);
    const alone = { spam: await lab.train(unwanted!.train) };
    await add("spam", alone.spam);
    for (const strength of strengths) {
      await add(`⊖ ${strength} spam`, await lab.combine(`-${strength}*spam`, alone, { type: "cat" }));
    }
    const all = await lab.train([...ham!.train, ...unwanted!.train]);
    await add("messages", all);
    const adapters = { all, spam: await lab.train(unwanted!.train, { initAdapter: all }) };
    await add("messages, then spam", adapters.spam);
    for (const [way, options] of Object.entries(WAYS)) {
      for (const strength of strengths) {
        const recipe = `all + ${strength}*(all - spam)`;
        await add(`λ = ${strength} (${way})`, await lab.combine(recipe, adapters, options));
      }
    }
  });
  return {
    name: "spam",
    title: "Spam unlearned, on real messages",
    axis: "adapter",
    rows,
    drawn: Object.keys(rows[0]!.values),
    measure: "loss",
  };
}

/** How the recipe is computed: with the authors' factors, and as the sum that it stands for. */
const WAYS = {
  published: { type: "paper", normalize: "off", negate: "A" },
  exact: { type: "cat" },
} as const;

/** Reads labelled messages, each once, in their order. */
function readMessages(path: string): Messages {
  const lines = [...new Set(readFileSync(path, "utf8").split("\n"))];
  const ofKind = (kind: string): string[] =>
    lines.filter((line) => line.startsWith(`${kind}\t`)).map((line) => line.slice(kind.length + 1).trim());
  return { ham: ofKind("ham"), spam: ofKind("spam") };
}

if (import.meta.main) {
  const command = await readCommand(SIZES);
  const [path] = command.files;
  if (path === undefined) throw new Error("Cannot read messages: no file, expected the SMS Spam Collection");
  await command.run((setup) => spam(setup, readMessages(path)));
}
