/**
 * @file The space mark that a `Metaspace` of the scheme "first" puts before a text: only before the first word, and neither
 * after an added token nor before later words.
 */
import type { SplittingTokenizer, TokenizerStep } from "./tokenizer-step.ts";

/** A step, or a list of them, as far as it is used. */
interface MarkingStep extends TokenizerStep {
  readonly prepend_scheme?: string;
  readonly replacement?: string;
}

function markingSteps(step: MarkingStep | null): MarkingStep[] {
  if (step === null) return [];
  return step.prepend_scheme === "first" ? [step] : (step.tokenizers ?? []).flatMap(markingSteps);
}

/** Makes the steps of a tokenizer mark only the beginning of a text. */
export function markFirstAlone({
  pre_tokenizer: preTokenizer,
  splitter_normalized: splitter,
  added_tokens_map: added,
}: SplittingTokenizer): void {
  const steps = markingSteps(preTokenizer);
  if (steps.length === 0) return;
  // The first part of the text that is being split; null: nothing is left to mark.
  let first: string | null = null;
  const split = splitter.split.bind(splitter);
  splitter.split = (text) => {
    const parts = split(text);
    first = parts[0] === undefined || added.has(parts[0]) ? null : parts[0];
    return parts;
  };
  for (const step of steps) {
    const { replacement = "▁" } = step;
    step.pre_tokenize_text = (text, options) => {
      const { section_index: section } = options as { readonly section_index?: number };
      const isFirst = section === 0 && first?.startsWith(text) === true;
      first = null;
      const marked = text.replaceAll(" ", replacement);
      return [isFirst && !marked.startsWith(replacement) ? replacement + marked : marked];
    };
  }
}
