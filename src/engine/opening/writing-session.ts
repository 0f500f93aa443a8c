/**
 * @file Opens a session to write text with. Products of many tokens in 8 bits are smoothed by a text of our own: who writes has
 * no data to measure with, and which channels are large depends little on the text (docs/log.md#many-rows-and-prompts).
 */
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Compute } from "../../nn/compute.ts";
import { Session } from "../../run/session.ts";
import { measureSmoothing } from "../../run/smoothing.ts";
import type { Residency, Smoothing } from "../../run/weights/weights.ts";
import type { Engine } from "../../runtime/engine.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { factsOfText } from "../prompts/prompt.ts";

/** Prose, talk, numbers, code. */
const TEXT = `The old house by the river had stood empty for years. "Who lives there?" she asked, and nobody answered. \
In 1987, the company sold 3,214 machines for $12.50 each; the total was 40175. def add(a, b):
    return a + b

Water boils at 100 degrees. The president of the council said that the new law would take effect on 1 March 2004. \
First, cut the onions, then fry them in butter until they are soft. Question: How many apples are left? \
Answer: There are 5 apples left, because 12 - 7 = 5.`;

/**
 * Opens a session for writing, or for trainings beside texts; the caller releases it. `tokenizer` is called only if smoothing is
 * measured.
 */
export async function openWritingSession(
  engine: Engine,
  base: BaseModel,
  residency: Residency,
  { compute, tokenizer }: { readonly compute: Compute; readonly tokenizer: () => Tokenizer },
): Promise<Session> {
  const measure = async (arithmetic: Parameters<typeof measureSmoothing>[2]): Promise<Smoothing> => {
    if (!arithmetic.smoothing) return new Map();
    const { maxPositions, numOutputs } = base.model;
    const ids = tokenizer()
      .encode(TEXT, { addSpecialTokens: false })
      .filter((id) => id < numOutputs)
      .slice(0, maxPositions);
    if (ids.length === 0) return new Map();
    const input = hostTensor("int64", [1, ids.length], BigInt64Array.from(ids, BigInt));
    const facts = factsOfText(ids.length);
    return await measureSmoothing(engine, base, arithmetic, { input, facts });
  };
  const measureMany = (): Promise<Smoothing> => measure(compute.many ?? {});
  return new Session(engine, base, residency, { compute, smoothing: await measure(compute), measureMany });
}
