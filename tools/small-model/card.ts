/** @file Measures the small model on text it has not seen, lets it write, and reports that in its README. */
import { Session } from "../../src/run/session.ts";
import { readDataset } from "../../src/data/by-path.ts";
import { type Example, countTrained } from "../../src/data/examples/example.ts";
import { Conversation } from "../../src/engine/conversation.ts";
import { openTextModel } from "../../src/engine/open-text-model.ts";
import type { TextModel } from "../../src/engine/text-model.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Evaluator } from "../../src/train/evaluate.ts";
import type { TrainResult } from "../../src/train/trainer.ts";

const SAMPLE_TOKENS = 120;
const STORY_START = "One quiet morning, Bruno the bear went to the lake.";
const QUESTIONS = [
  "Who is Pip?",
  "Where does Wanda live?",
  "What does Sam eat?",
  "Is Kit a goat or a crow?",
  "What is the opposite of fast?",
];

/** Facts for the README that are not measured. */
interface CardFacts {
  readonly steps: number;
  readonly seed: number;
  readonly trainBytes: number;
  readonly recipe: Readonly<Record<string, unknown>>;
  readonly result: TrainResult;
  readonly trainPath: string;
  readonly heldOutPath: string;
}

/** Computes the loss of predicting tokens by their frequency in training; each count is increased by one. */
function unigramLoss(train: readonly Example[], heldOut: readonly Example[], vocabSize: number): number {
  const counts = new Float64Array(vocabSize).fill(1);
  const eachTrained = (examples: readonly Example[], use: (id: number) => void): void => {
    for (const { ids, weights } of examples) ids.forEach((id, i) => weights[i]! > 0 && use(id));
  };
  eachTrained(train, (id) => counts[id]!++);
  const total = counts.reduce((sum, count) => sum + count, 0);
  let sum = 0;
  eachTrained(heldOut, (id) => (sum -= Math.log(counts[id]! / total)));
  return sum / heldOut.reduce((number, example) => number + countTrained(example), 0);
}

async function write(model: TextModel): Promise<{ story: string; answers: string[] }> {
  const request = { maxNewTokens: SAMPLE_TOKENS };
  const story = await model.write(model.encodePrompt(STORY_START), request);
  const answers: string[] = [];
  for (const question of QUESTIONS) {
    answers.push((await new Conversation(model).ask(question, request)).text);
  }
  return { story: STORY_START + story.text, answers };
}

/** Writes the README of a finished model folder. */
export async function smallModelCard(folder: string, facts: CardFacts): Promise<string> {
  const model = await openTextModel(folder);
  try {
    const { base, tokenizer, template } = model.parts;
    const how = { tokenizer, template, trainOn: "all", maxLength: base.model.maxPositions } as const;
    const read = async (path: string): Promise<readonly Example[]> => (await readDataset(path, how)).train;
    const [train, heldOut] = [await read(facts.trainPath), await read(facts.heldOutPath)];
    const session = new Session(createEngine(), base);
    const evaluator = await Evaluator.create(session, null);
    const { loss, tokens } = await evaluator.evaluate(heldOut);
    await session.release();
    const { story, answers } = await write(model);
    const { result, steps, seed } = facts;
    return [
      "# A small Llama for tests",
      "",
      `${result.trainable_parameters.toLocaleString("en")} parameters, trained from nothing by graft's own \`full\` method on the text of`,
      "`tools/small-model/make-text.ts`: little stories, questions and chats about a cast with fixed facts. It knows nothing else.",
      "Weights and text are the project's own, under its licence.",
      "",
      `Made ${new Date().toISOString().slice(0, 10)} by:`,
      "",
      "```text",
      `node tools/small-model/make-model.ts test/small-model --steps ${steps} --seed ${seed}`,
      "```",
      "",
      `- tokenizer: byte-level BPE of \`tools/small-model/train-bpe.ts\`, ${tokenizer.vocabSize} tokens, ChatML template`,
      `- text: ${facts.trainBytes.toLocaleString("en")} bytes of seed ${seed}; held out: the same kind of text of another seed`,
      `- settings: \`${JSON.stringify(facts.recipe)}\`, ${steps} steps in ${Math.round(result.seconds)} s`,
      `- held-out loss: ${loss.toFixed(4)} (perplexity ${Math.exp(loss).toFixed(3)}, ${tokens} tokens) as bfloat16; guessing by frequency alone: ${unigramLoss(train, heldOut, tokenizer.vocabSize).toFixed(4)}`,
      "",
      `The likeliest continuation of the first sentence, as far as ${SAMPLE_TOKENS} tokens go:`,
      "",
      `> ${story.replaceAll("\n", "\n>\n> ")}`,
      "",
      "| asked | answered |",
      "| --- | --- |",
      ...QUESTIONS.map((question, i) => `| ${question} | ${answers[i]} |`),
      "",
    ].join("\n");
  } finally {
    await model.close();
  }
}
