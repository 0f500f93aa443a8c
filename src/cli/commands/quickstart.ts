/** @file `graft quickstart`: the whole product in one command, on the bundled examples. */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { readTargetRow } from "../../data/rows/target-rows.ts";
import { parseJsonLines } from "../../data/formats/json-rows.ts";
import type { Message } from "../../data/rows/messages.ts";
import { openTextModel } from "../../engine/open-text-model.ts";
import { FormatError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { DEFAULT_MODEL } from "../../hub/resolve.ts";
import { THREADS } from "../../train/settings/threads.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { formatFixed } from "../../messages/numbers.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { sideBySide } from "../terminal/side-by-side.ts";
import { trainWithProgress } from "../training/train-run.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";

const EXAMPLES = new URL("../../../examples/quickstart/", import.meta.url);
const NUM_QUESTIONS = 3;
const MAX_ANSWER_TOKENS = 60;

/** Settings found by experiments on the examples: docs/log.md#methods-of-training. */
const SETTINGS = {
  method: "lora",
  rank: 16,
  alpha: 32,
  learningRate: 2e-3,
  schedule: "cosine",
  warmupSteps: 4,
  batchSize: 8,
  epochs: 3,
  maxLength: 256,
  // The model is small, so 0.5 GB more memory for an eighth less time is worth it.
  weights: "float32",
} as const;

async function examplePath(name: string): Promise<string> {
  const path = fileURLToPath(new URL(name, EXAMPLES));
  try {
    await disk().stat(path);
  } catch (cause) {
    throw new FormatError(
      "format/file",
      `Cannot find the quickstart's examples "${path}": the file is missing`,
      { hint: "Run the quickstart in a clone of the project, or install the package again.", cause },
    );
  }
  return path;
}

/** The first questions of a file of one-question conversations, with their reference answers. */
async function questionsOf(path: string): Promise<{ question: Message; reference: string }[]> {
  return [...parseJsonLines(await disk().readFile(path, "utf8"), path)]
    .slice(0, NUM_QUESTIONS)
    .map((parsed) => {
      const row = readTargetRow("value" in parsed ? parsed.value : null);
      const [question, reference] = row.kind === "chat" ? row.messages.map(({ message }) => message) : [];
      if (question && reference) return { question, reference: reference.content };
      throw new FormatError("format/json", `Cannot use "${path}": no question and answer`, {
        hint: "Restore the file that came with graft.",
      });
    });
}

/** The number of steps for some passes over a file. */
async function countSteps(path: string, epochs: number): Promise<number> {
  const numRows = [...parseJsonLines(await disk().readFile(path, "utf8"), path)].length;
  return Math.max(1, Math.round(epochs * Math.ceil(numRows / SETTINGS.batchSize)));
}

async function answer(
  modelPath: string,
  adapterPath: string | null,
  questions: readonly Message[],
  io: CommandIO,
): Promise<string[]> {
  const model = await openTextModel(modelPath, adapterPath === null ? {} : { adapterPath });
  const bar = io.progress(adapterPath === null ? "asking before" : "asking after", questions.length, "steps");
  try {
    const answers: string[] = [];
    for (const question of questions) {
      const request = { maxNewTokens: MAX_ANSWER_TOKENS, signal: io.signal };
      answers.push((await model.write(model.encodeChat([question]), request)).text.trim());
      bar.update(answers.length);
    }
    return answers;
  } finally {
    bar.stop();
    await model.close();
  }
}

export const command = defineCommand({
  example: "npx graft quickstart",
  positionals: [],
  options: z.strictObject({
    model: NAME_OR_PATH.default(DEFAULT_MODEL).describe("Model to fine-tune"),
    output: PATH.default("runs/quickstart").describe("Output folder; a run already in it is replaced"),
    epochs: z.number().positive().default(SETTINGS.epochs).describe("Passes over the examples"),
    resume: z.boolean().default(false).describe("Resume the stopped run in the folder"),
    threads: THREADS,
  }),
  async run({ model, output, epochs, resume, threads }, io) {
    const [data, evalData] = [await examplePath("train.jsonl"), await examplePath("held-out.jsonl")];
    const questions = await questionsOf(evalData);
    const { path } = await pullWithProgress(model, io);
    const asked = questions.map(({ question }) => question);
    const before = await answer(path, null, asked, io);
    const {
      held_out_loss_before: first,
      held_out_loss: last,
      nextCommand,
    } = await trainWithProgress(
      {
        ...SETTINGS,
        warmupSteps: Math.min(SETTINGS.warmupSteps, Math.floor((await countSteps(data, epochs)) / 2)),
        model,
        data,
        evalData,
        output,
        epochs,
        resume,
        overwrite: !resume,
        ...(threads === undefined ? {} : { threads }),
      },
      io,
    );
    const after = await answer(path, output, asked, io);
    if (first !== null && last !== null) {
      const perplexities = [first, last].map((loss) => formatFixed(Math.exp(loss), 1)).join(" -> ");
      io.stdout(
        `\nHeld-out loss ${formatFixed(first, 3)} -> ${formatFixed(last, 3)}, perplexity ${perplexities}\n`,
      );
    }
    questions.forEach(({ question, reference }, i) => {
      io.stdout(io.color.bold(`Question: ${question.content}`));
      io.stdout(sideBySide({ before: before[i] ?? "", after: after[i] ?? "" }, io.color, io.width));
      io.stdout(io.color.dim(`Reference: ${reference}\n`));
      io.emit({ event: "answer", question: question.content, before: before[i], after: after[i], reference });
    });
    io.stdout(`The adapter and a report (report.html) are in ${output}. Talk to it:\n`);
    io.stdout(`  ${nextCommand}`);
  },
});
