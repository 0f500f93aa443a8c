/** @file `Metaspace` splits a text before each space mark, unless its file says not to; the library never does. */
import { type WrittenStep, stepsOf } from "../../../format/checkpoint/gguf/tokenizer-steps.ts";
import type { TokenizerStep } from "./tokenizer-step.ts";

/** Makes steps split as set in the part of the file from which they were made. */
export function splitAtMarks(preTokenizer: TokenizerStep | null, ofFile: unknown): void {
  const settings = stepsOf(ofFile as WrittenStep | null);
  for (const [i, step] of flat(preTokenizer).entries()) {
    const { type, split, replacement = "▁" } = settings[i] ?? { type: "" };
    if (type !== "Metaspace" || split === false) continue;
    const marked = step.pre_tokenize_text?.bind(step);
    if (marked) {
      step.pre_tokenize_text = (text, options) =>
        marked(text, options).flatMap((part) => cut(part, String(replacement)));
    }
  }
}

function flat(step: TokenizerStep | null): TokenizerStep[] {
  if (step === null) return [];
  return step.tokenizers ? step.tokenizers.flatMap(flat) : [step];
}

function cut(text: string, mark: string): string[] {
  const [head, ...others] = text.split(mark);
  return [...(head ? [head] : []), ...others.map((part) => mark + part)];
}
