/** @file Log-probabilities of the ids of a prompt, each given those before it, for answers that repeat the prompt. */
import { sizeAt } from "../../graph/shape.ts";
import type { Head } from "../../run/head/head.ts";
import type { PromptReader, ReadPart } from "./prompt-reader.ts";
import { type TokenLogProbs, tokenLogProbs } from "../sampling/token-log-probs.ts";

/** Positions whose logits exist at a time. */
const CHUNK = 32;

export class PromptScores implements PromptReader {
  readonly #numPrompt: number;
  readonly #numTop: number;
  /** Scores by position. The first id has none, since nothing precedes it. */
  readonly scores: (TokenLogProbs | null)[] = [null];

  /** `numTop`: how many of the likeliest tokens are scored beside each. */
  constructor(numPrompt: number, numTop: number) {
    this.#numPrompt = numPrompt;
    this.#numTop = numTop;
  }

  async read(head: Head, { y, row, ids, from }: ReadPart): Promise<void> {
    const count = Math.min(sizeAt(y.shape, 1), this.#numPrompt - 1 - from);
    const width = head.numOutputs;
    for (let start = 0; start < count; start += CHUNK) {
      const places = Int32Array.from({ length: Math.min(CHUNK, count - start) }, (_, i) => start + i);
      await head.withLogitsAt(y, places, row, (logits) => {
        for (const [i, place] of places.entries()) {
          const next = from + place + 1;
          const own = logits.subarray(i * width, (i + 1) * width);
          this.scores[next] = tokenLogProbs(own, ids[next]!, this.#numTop);
        }
      });
    }
  }
}
