/**
 * @file Checks that llama.cpp loads a GGUF file and writes the same tokens as graft with it, greedily.
 *
 *   npx graft bench setup                                    once
 *   node bench/checks/check-llama-cpp.ts --model FILE.gguf [flags]   exit status 0: all texts are equal; 1: some differ
 */
import { openTextModel } from "../../src/engine/open-text-model.ts";
import { GraftError, UsageError, exitStatus } from "../../src/errors.ts";
import type { FlagValues } from "../bench.ts";
import { helpText, parseFlags } from "../harness/flags.ts";
import { llamaVersion, runLlama } from "../harness/peers.ts";

const FLAGS = {
  model: { value: "", help: "the .gguf file" },
  prompts: {
    value: "Once upon a time|The capital of France is|def add(a, b):|1, 2, 3, 4,|My favourite colour is",
    help: "what both go on from, between bars",
  },
  tokens: { value: 32, help: "new tokens of a text at most" },
  threads: { value: 1, help: "threads of both" },
  chat: { value: false, help: "sends each prompt as a message of the model's chat template" },
  tie: {
    value: 1,
    help: "how likely graft's token must be at a difference, as a share of llama.cpp's likeliest; 1: no difference passes",
  },
};

/** A text that one side wrote. */
interface Written {
  readonly prompt: string;
  readonly promptIds: readonly number[];
  readonly ids: readonly number[];
  readonly text: string;
}

/** A text of llama.cpp, with probabilities. */
interface LlamaWritten extends Omit<Written, "prompt"> {
  /** The likeliest tokens of each step with their probabilities. */
  readonly likeliest: readonly (readonly (readonly [number, number])[])[];
  readonly release: string;
}

type Task = Omit<FlagValues<typeof FLAGS>, "prompts"> & { readonly prompts: readonly string[] };

async function writeWithGraft({ model: path, prompts, tokens, threads, chat }: Task): Promise<Written[]> {
  const model = await openTextModel(path, { threads });
  try {
    const texts: Written[] = [];
    for (const content of prompts) {
      const prompt = chat
        ? model.parts.template.render([{ role: "user", content }], { addGenerationPrompt: true })
        : content;
      const promptIds = chat
        ? model.parts.tokenizer.encode(prompt, { addSpecialTokens: false })
        : model.encodePrompt(prompt);
      const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0 };
      const { ids, text } = await model.write(promptIds, { sampling, maxNewTokens: tokens, seed: 0 });
      const stop = ids.findIndex((id) => model.stopIds.includes(id));
      texts.push({ prompt, promptIds, ids: stop < 0 ? ids : ids.slice(0, stop), text });
    }
    return texts;
  } finally {
    await model.close();
  }
}

async function writeWithLlama(task: Task, prompts: readonly Written[]): Promise<LlamaWritten[]> {
  const { events } = await runLlama("llama_texts.mjs", {
    model: task.model,
    prompts: prompts.map(({ prompt, promptIds }) => ({ text: prompt, ids: promptIds })),
    maxNewTokens: task.tokens,
    threads: task.threads,
  });
  return events.map(({ value }) => value as unknown as LlamaWritten);
}

/** The first place where two lists differ; null when they are equal. */
function firstDifference(a: readonly number[], b: readonly number[]): number | null {
  const at = Array.from({ length: Math.max(a.length, b.length) }).findIndex((_, i) => a[i] !== b[i]);
  return at < 0 ? null : at;
}

/** The first difference between two texts. */
interface Difference {
  readonly description: string;
  /** Probability of graft's token as a share of the likeliest one's, both by llama.cpp. */
  readonly share: number;
}

/** Finds the first difference between two texts; null when they are equal. */
function findDifference(graft: Written, llama: LlamaWritten): Difference | null {
  const inPrompt = firstDifference(graft.promptIds, llama.promptIds);
  if (inPrompt !== null) {
    const [ours, theirs] = [graft.promptIds[inPrompt], llama.promptIds[inPrompt]];
    const description = `the prompt is cut differently at token ${inPrompt}: ${ours} here, ${theirs} there`;
    return { description, share: 0 };
  }
  const at = firstDifference(graft.ids, llama.ids);
  if (at === null) return null;
  const likeliest = llama.likeliest[at] ?? [];
  const highest = likeliest[0]?.[1] ?? 1;
  const share = (likeliest.find(([id]) => id === graft.ids[at])?.[1] ?? 0) / highest;
  const shown = likeliest.slice(0, 2).map(([id, p]) => `${id} with ${(100 * p).toFixed(2)} %`);
  const description = `token ${at} is ${graft.ids[at] ?? "the end"} here; llama.cpp's likeliest are ${shown.join(" and ")}`;
  return { description, share };
}

async function main(words: readonly string[]): Promise<number> {
  const { values, help } = parseFlags(words, FLAGS);
  if (help) {
    process.stdout.write(`${helpText(FLAGS)}\n`);
    return 0;
  }
  const flags = values as unknown as FlagValues<typeof FLAGS>;
  const task: Task = { ...flags, prompts: flags.prompts.split("|") };
  if (task.model === "") {
    throw new UsageError("usage/flag", "Cannot check: --model is missing, expected a .gguf file");
  }
  const version = llamaVersion();
  const graft = await writeWithGraft(task);
  const llama = await writeWithLlama(task, graft);
  let [numEqual, numTies] = [0, 0];
  for (const [i, ours] of graft.entries()) {
    const difference = findDifference(ours, llama[i]!);
    const isTie = difference !== null && difference.share >= task.tie;
    if (difference === null) numEqual++;
    else if (isTie) numTies++;
    process.stdout.write(`prompt     ${JSON.stringify(ours.prompt)}\n`);
    process.stdout.write(`graft      ${JSON.stringify(ours.text)}\n`);
    process.stdout.write(`llama.cpp  ${JSON.stringify(llama[i]!.text)}\n`);
    const verdict = difference?.description ?? `equal, ${ours.ids.length} tokens`;
    process.stdout.write(`${isTie ? `near tie: ${verdict}` : verdict}\n\n`);
  }
  process.stdout.write(
    `${numEqual} of ${graft.length} texts are equal, ${numTies} part at a near tie (node-llama-cpp ${version}, llama.cpp ${llama[0]?.release ?? "?"})\n`,
  );
  return numEqual + numTies === graft.length ? 0 : 1;
}

if (import.meta.main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const hint = error instanceof GraftError && error.hint !== null ? `\n  ${error.hint}` : "";
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}${hint}\n`);
    process.exitCode = exitStatus(error);
  }
}
