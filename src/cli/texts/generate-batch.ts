/** @file `graft generate --prompts`: generates for all prompts of a file at once, and prints or stores the texts in their order. */
import { performance } from "node:perf_hooks";

import type { SamplingOptions } from "../../engine/sampling/sampler.ts";
import type { TextModel, WrittenText } from "../../engine/text-model.ts";
import { writeTextAtomic } from "../../format/files/atomic.ts";
import { formatCountOf, formatFixed } from "../../messages/numbers.ts";
import type { CommandIO } from "../command.ts";
import { textEvent, textRequest } from "./generation.ts";
import { type FilePrompt, type PromptOptions, readPrompts } from "./prompts-file.ts";

interface BatchFlags extends SamplingOptions {
  readonly prompts: string;
  /** File for the texts. Default: they are printed. */
  readonly output?: string | undefined;
  readonly maxNewTokens: number;
  readonly seed: number;
}

/** Generates a text for each prompt. @throws the signal's reason when it was stopped */
export async function generateBatch(
  flags: BatchFlags,
  model: TextModel,
  options: PromptOptions,
  io: CommandIO,
): Promise<void> {
  const prompts = await readPrompts(flags.prompts, model, options);
  const bar = io.progress("writing", prompts.length, "steps");
  const startedMs = performance.now();
  let [numDone, numTokens] = [0, 0];
  const { signal: _, ...request } = textRequest(flags, io.signal);
  // Each has its own seed, so that equal prompts get different texts.
  const requests = prompts.map(({ ids, goesOn, task }, i) => ({
    ...request,
    promptIds: ids,
    goesOn,
    seed: flags.seed + i,
    ...(task === undefined ? {} : { task }),
  }));
  let written: WrittenText[];
  try {
    written = await model.writeAll(requests, io.signal, ({ ids }) => {
      numTokens += ids.length;
      const speed = (1000 * numTokens) / Math.max(1, performance.now() - startedMs);
      bar.update(++numDone, { "tokens/s": formatFixed(speed, 1) });
    });
  } finally {
    bar.stop();
  }
  // An incomplete result is not written.
  io.signal.throwIfAborted();
  const { output } = flags;
  const rows = written.map((text, i) => `${JSON.stringify(outputRow(prompts[i]!, text))}\n`);
  if (output !== undefined) await writeTextAtomic(output, rows.join(""));
  for (const [index, text] of written.entries()) {
    if (output === undefined) io.text(text.text);
    io.emit({ event: "text", index, ...taskEvent(prompts[index]!), ...textEvent(text) });
  }
  const seconds = (performance.now() - startedMs) / 1000;
  if (output !== undefined) io.stdout(`${formatCountOf(written.length, "text")} in ${output}`);
  io.emit({ event: "done", texts: written.length, tokens: numTokens, seconds, output: output ?? null });
}

function taskEvent({ line, task }: FilePrompt): { readonly line: number; readonly adapter?: string | null } {
  return { line, ...(task === undefined ? {} : { adapter: task }) };
}

function outputRow({ shown, others, task }: FilePrompt, text: WrittenText): Record<string, unknown> {
  return {
    ...others,
    ...shown,
    ...(task === undefined ? {} : { adapter: task }),
    text: text.text,
    finish_reason: text.finishReason,
    prompt_tokens: text.promptIds.length,
    completion_tokens: text.ids.length,
  };
}
