/** @file How well answers are chosen: the loss of the right one, and by which of the choices the model would begin. */
import { endsPrompt, toBatch } from "../src/data/batches/batch.ts";
import { factsOf, labelledPositions } from "../src/data/batches/pass-facts.ts";
import { logSumExp } from "../src/engine/sampling/token-log-probs.ts";
import type { Example, ReadAdapter, Session } from "../src/index.ts";
import { NO_ADAPTER } from "../src/peft/adapter-view.ts";
import { ForwardPass } from "../src/run/forward-pass.ts";
import { fillRows } from "../src/train/step/fill-rows.ts";
import { passesOf } from "../src/train/evaluate.ts";

export interface Score {
  /** Mean loss of the right answer's tokens. */
  readonly loss: number;
  /** Share of the rows whose right answer begins with the likeliest of the choices' first tokens. */
  readonly accuracy: number;
}

/** The first token of an example's answer. */
export function firstToken({ ids, weights }: Example): number {
  return ids[weights.findIndex((weight) => weight > 0)]!;
}

/** Scores examples whose answers begin with one of `choices`, all of which differ. `adapter` null: the base alone. */
export async function scoreChoices(
  session: Session,
  adapter: ReadAdapter["adapter"] | null,
  examples: readonly Example[],
  choices: readonly number[],
): Promise<Score> {
  if (new Set(choices).size < choices.length) {
    throw new Error(`Cannot choose by the first token: ${choices.join(", ")} has one twice`);
  }
  const forward = await ForwardPass.create(session, adapter ?? NO_ADAPTER);
  const { numOutputs } = session.model;
  let [lossSum, numTokens, numRight] = [0, 0, 0];
  for (const rows of passesOf(examples)) {
    const batch = toBatch(fillRows(rows));
    const { indexes, labels } = labelledPositions(batch);
    await forward.run(batch.input, factsOf(batch), async (x) => {
      const all = await forward.head.logitsAt(x, indexes);
      for (const [i, index] of indexes.entries()) {
        const label = labels[i]!;
        const logits = all.data.subarray(i * numOutputs, (i + 1) * numOutputs);
        lossSum += logSumExp(logits) - logits[label]!;
        numTokens++;
        if (!endsPrompt(batch, index)) continue;
        const values = choices.map((id) => logits[id]!);
        if (choices[values.indexOf(Math.max(...values))] === label) numRight++;
      }
      session.pool.release(all);
    });
  }
  return { loss: lossSum / numTokens, accuracy: numRight / examples.length };
}
