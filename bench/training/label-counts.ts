/** @file Counts the tokens that each step of `graft train --shuffle off` learns from; its events count all tokens. */
import { createChatTemplate } from "../../src/data/chat/chat-template.ts";
import { readDataset } from "../../src/data/by-path.ts";
import { countTrained, type Example } from "../../src/data/examples/example.ts";
import { planSteps } from "../../src/data/batches/order.ts";
import { createTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { openCheckpoint } from "../../src/format/by-path.ts";

/** Reads conversations as graft's training does. */
export async function readExamples(
  model: string,
  data: string,
  maxLength: number,
): Promise<readonly Example[]> {
  const checkpoint = await openCheckpoint(model);
  try {
    const files = checkpoint.tokenizerFiles;
    if (files === null) throw new Error(`Cannot read "${data}": model "${model}" has no tokenizer`);
    const [tokenizer, template] = [createTokenizer(files), createChatTemplate(files)];
    return (await readDataset(data, { tokenizer, template, maxLength })).train;
  } finally {
    await checkpoint.close();
  }
}

/** Counts the label tokens of every step of the first epoch. */
export function labelsPerStep(
  examples: readonly Example[],
  batchSize: number,
  packing: boolean,
  maxLength: number,
): number[] {
  const plan = planSteps({
    examples,
    batchSize,
    packing,
    maxLength,
    gradientAccumulationSteps: 1,
    shuffle: false,
    seed: 0,
  });
  return Array.from({ length: plan.stepsPerEpoch }, (_, step) =>
    plan
      .microBatches(step)
      .flat(2)
      .reduce((sum, example) => sum + countTrained(example), 0),
  );
}

/** Mean loss per label token over steps with different numbers of labels. */
export function meanLoss(losses: readonly number[], labels: readonly number[]): number {
  if (losses.length !== labels.length)
    throw new RangeError(`Cannot weigh ${losses.length} losses by ${labels.length} counts`);
  const total = labels.reduce((sum, count) => sum + count, 0);
  return losses.reduce((sum, loss, i) => sum + loss * (labels[i] ?? 0), 0) / total;
}
