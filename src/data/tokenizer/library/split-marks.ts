/** @file `Metaspace` cuts a text before each mark of a space, unless its file says no; the library never does. */
import { type WrittenStep, stepsOf } from "../../../format/checkpoint/gguf/tokenizer-steps.ts";
import type { TokenizerStep } from "./tokenizer-step.ts";

/** Has steps cut as the part of the file says that they were made of. */
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
