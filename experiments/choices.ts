/** @file How well answers are chosen: the loss of the right one, and by which of the choices the model would begin. */
import { promptEnds, toBatch } from "../src/data/batch.ts";
import type { BaseModel, Engine, Example, ReadAdapter } from "../src/index.ts";
import { ForwardPass } from "../src/run/forward-pass.ts";
import { passesOf } from "../src/train/evaluate.ts";
import { labelledPositions } from "../src/train/step-runner.ts";

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
  const { vocabSize } = base.config;
  let [lossSum, numTokens, numRight] = [0, 0, 0];
  for (const rows of passesOf(examples)) {
    const batch = toBatch(rows);
    const [labelled, isFirst] = [labelledPositions(batch), promptEnds(batch)];
    await forward.run(batch, isFirst, async (x) => {
      const positions = labelled.map(({ index }) => index);
      const all = await forward.head.logitsAt(x, positions);
      for (const [i, { index, label }] of labelled.entries()) {
        const logits = all.data.subarray(i * vocabSize, (i + 1) * vocabSize);
        lossSum += logSumExp(logits) - (logits[label] as number);
        numTokens++;
        if (isFirst[index] === 0) continue;
        const values = choices.map((id) => logits[id] as number);
        if (choices[values.indexOf(Math.max(...values))] === label) numRight++;
      }
      forward.pool.release(all);
    });
  }
  await forward.release();
  return { loss: lossSum / numTokens, accuracy: numRight / examples.length };
}

function logSumExp(values: Float32Array): number {
  const max = values.reduce((a, b) => Math.max(a, b));
  return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
}
