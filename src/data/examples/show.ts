/** @file Shows an example as the model sees it: its text in pieces, each trained on or not. */
import { countTrained, type Example } from "./example.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A run of tokens of which all or none are trained. */
export interface ExamplePiece {
  readonly text: string;
  readonly trained: boolean;
}

interface ExampleDescription {
  readonly pieces: readonly ExamplePiece[];
  /** Number of tokens. */
  readonly length: number;
  readonly numTrained: number;
}

/** Describes an example; a character made of several tokens is in the piece of its last token. */
export function describeExample(example: Example, tokenizer: Tokenizer): ExampleDescription {
  const stream = tokenizer.stream();
  const pieces: { text: string; trained: boolean }[] = [];
  const add = (text: string, trained: boolean): void => {
    const last = pieces.at(-1);
    if (last?.trained === trained) last.text += text;
    else if (text !== "") pieces.push({ text, trained });
  };
  for (const [i, id] of example.ids.entries()) add(stream.push(id), example.weights[i]! > 0);
  add(stream.end(), (example.weights.at(-1) ?? 0) > 0);
  return { pieces, length: example.ids.length, numTrained: countTrained(example) };
}
