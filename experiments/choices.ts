/** @file How well answers are chosen: the loss of the right one, and by which of the choices the model would begin. */
import { NO_LABEL, toBatch } from "../src/data/batch.ts";
import type { BaseModel, Engine, Example, ReadAdapter } from "../src/index.ts";
import { ForwardPass } from "../src/run/forward-pass.ts";
import { labelledPositions } from "../src/train/step-runner.ts";

/** Tokens of one pass. */
const PASS_TOKENS = 1024;

export interface Score {
  /** Mean loss of the right answer's tokens. */
  readonly loss: number;
  /** Share of the rows whose right answer begins with the likeliest of the choices' first tokens. */
  readonly accuracy: number;
}

/** The first token of an example's answer. */
export function firstToken({ ids, trained }: Example): number {
  return ids[trained.indexOf(1)] as number;
}

/** Scores examples whose answers begin with one of `choices`, all of which differ. `adapter` null: the base alone. */
export async function scoreChoices(
  engine: Engine,
  base: BaseModel,
  adapter: ReadAdapter["adapter"] | null,
  examples: readonly Example[],
  choices: readonly number[],
): Promise<Score> {
  if (new Set(choices).size < choices.length) {
    throw new Error(`Cannot choose by the first token: ${choices.join(", ")} has one twice`);
  }
  const forward = await ForwardPass.create(engine, base, adapter);
  const { width, vocabSize } = base.config;
  let [lossSum, numTokens, numRight] = [0, 0, 0];
  const longest = Math.max(...examples.map(({ ids }) => ids.length));
  const numRows = Math.max(1, Math.floor(PASS_TOKENS / longest));
  for (let from = 0; from < examples.length; from += numRows) {
    const batch = toBatch(examples.slice(from, from + numRows).map((example) => [example]));
    const labelled = labelledPositions(batch);
    await forward.run(batch, undefined, async (x) => {
      const hidden = forward.pool.acquire("float32", [labelled.length, width]);
      for (const [i, { index }] of labelled.entries()) {
        hidden.data.set(x.data.subarray(index * width, (index + 1) * width), i * width);
      }
      const all = await forward.head.logits(hidden);
      for (const [i, { index, label }] of labelled.entries()) {
        const logits = all.data.subarray(i * vocabSize, (i + 1) * vocabSize);
        lossSum += logSumExp(logits) - (logits[label] as number);
        numTokens++;
        if (index > 0 && batch.labels[index - 1] !== NO_LABEL) continue;
        const values = choices.map((id) => logits[id] as number);
        if (choices[values.indexOf(Math.max(...values))] === label) numRight++;
      }
      forward.pool.release(hidden, all);
    });
  }
  await forward.release();
  return { loss: lossSum / numTokens, accuracy: numRight / examples.length };
}

function logSumExp(values: Float32Array): number {
  const max = values.reduce((a, b) => Math.max(a, b));
  return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
}
