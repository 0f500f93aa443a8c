/** @file Refuses examples that a model cannot read, or from which nothing is learned, by name and before anything is computed. */
import { z } from "zod";
import type { StepPlan } from "../../data/batches/order.ts";
import { countLabels, sequencesOf, type TrainingUnit, UNIT_LIST } from "../../data/examples/training-unit.ts";
import type { ClassExample } from "../../data/examples/class-example.ts";
import type { Example } from "../../data/examples/example.ts";
import { describeSource } from "../../data/reports/places.ts";
import { UsageError } from "../../errors.ts";
import { checkArguments, lazily } from "../../messages/arguments.ts";
import type { Model } from "../../models/model.ts";

type Reader = Pick<Model, "vocabSize" | "maxPositions">;

const UNITS = lazily(() => z.strictObject({ examples: UNIT_LIST }));

/**
 * Returns the checked micro-batches of a step of any caller's plan: each a list of rows.
 * @throws UsageError "usage/flag" for invalid examples; otherwise as `requireLearnable`
 */
export function readStep(
  plan: Pick<StepPlan<TrainingUnit>, "microBatches">,
  step: number,
  model: Reader,
): TrainingUnit[][][] {
  const microBatches = plan.microBatches(step);
  const examples = microBatches.flat(2);
  checkArguments("fineTune", UNITS, { examples });
  requireLearnable(examples, model);
  return microBatches;
}

/**
 * Refuses units without a mean loss: unreadable ones, as `requireReadable`, and units in which no token has weight.
 * @throws UsageError as `requireReadable`, "usage/data"
 */
export function requireLearnable(units: readonly TrainingUnit[], model: Reader): void {
  requireReadable(units, model);
  if (units.some((unit) => sequencesOf(unit).some((one) => countLabels(one) > 0))) return;
  const [first] = units.flatMap((unit) => [...sequencesOf(unit)]);
  const names = first === undefined ? "" : ` "${describeSource(first.source)}"`;
  const others = units.length > 1 ? ` and ${units.length - 1} more` : "";
  throw new UsageError(
    "usage/data",
    `Cannot use example${names}${others}: no token after the first has a weight above 0, expected one at least`,
    { hint: "Give the tokens that are to be predicted the weight 1." },
  );
}

/**
 * Refuses tokens without a row in the embedding, texts without tokens or longer than the model's positions, classes whose label index
 * is outside the text, and invalid weights.
 * @throws UsageError "usage/data", "usage/model", "usage/length", "usage/shape"
 */
export function requireReadable(units: readonly TrainingUnit[], { vocabSize, maxPositions }: Reader): void {
  if (vocabSize === null) return;
  for (const example of units.flatMap((unit) => [...sequencesOf(unit)])) {
    if ("pixels" in example) continue;
    if ("weights" in example) requireWeights(example);
    requireLength(example, maxPositions);
    if ("label" in example) requireLabelIndex(example);
    requireTokens(example, vocabSize);
  }
}

/** @throws UsageError "usage/data" for one that a mean cannot have */
function requireWeights(example: Example): void {
  const { weights } = example;
  // By index: findIndex() takes four times as long, for every token of the data.
  for (let token = 0; token < weights.length; token++) {
    const weight = weights[token]!;
    if (weight >= 0 && weight < Infinity) continue;
    throw new UsageError(
      "usage/data",
      `Cannot use example "${describeSource(example.source)}": weight ${weight} of token ${token}, expected a finite number from 0`,
      { hint: "Give tokens that are not to be learned the weight 0, and the others 1." },
    );
  }
}

/** @throws UsageError "usage/data", "usage/length" */
function requireLength(example: Pick<Example, "ids" | "source">, maxPositions: number): void {
  const { ids } = example;
  if (ids.length > maxPositions) {
    throw new UsageError(
      "usage/length",
      `Cannot use example "${describeSource(example.source)}": ${ids.length} tokens, expected at most ${maxPositions}, the model's positions`,
      { hint: "Choose a lower max length, or shorten the text." },
    );
  }
  if (ids.length > 0) return;
  throw new UsageError(
    "usage/data",
    `Cannot use example "${describeSource(example.source)}": it has no tokens, expected at least one`,
    { hint: "Leave the text out: the tokenizer has no tokens for it." },
  );
}

/** @throws UsageError "usage/shape" */
function requireLabelIndex(example: ClassExample): void {
  const { ids, labelIndex } = example;
  if (labelIndex >= 0 && labelIndex < ids.length) return;
  throw new UsageError(
    "usage/shape",
    `Cannot use example "${describeSource(example.source)}": labelIndex ${labelIndex}, expected 0 to ${ids.length - 1}, one of its tokens`,
    {
      hint: "It is the token from which the class is predicted: the first in encoders, the last in decoders.",
    },
  );
}

/** @throws UsageError "usage/model" for a token id without a row of the embedding */
function requireTokens(example: Pick<Example, "ids" | "source">, vocabSize: number): void {
  for (const id of example.ids) {
    if (id >= 0 && id < vocabSize) continue;
    throw new UsageError(
      "usage/model",
      `Cannot use example "${describeSource(example.source)}": token id ${id}, expected ${id < 0 ? "0 or more" : `less than ${vocabSize}`}`,
      { hint: "The tokenizer has more tokens than the model's embedding: use the model's own tokenizer." },
    );
  }
}
