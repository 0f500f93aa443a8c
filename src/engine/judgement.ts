/** @file What the outputs of a head mean for an example: a class, several classes, or numbers. */
import { factsOf } from "../models/config/classifier-config.ts";
import type { Model } from "../models/model.ts";
import { likeliest } from "../run/head/likeliest.ts";
import { logSumExp } from "./sampling/token-log-probs.ts";
import { sigmoid } from "../train/losses/log-sigmoid.ts";

export interface Judgement {
  /** In the form of a label in the data: the name of the class; names of classes; a number, or one for each output. */
  readonly predicted: string | readonly string[] | number | readonly number[];
  /** Probabilities by class; absent: the model predicts numbers. */
  readonly scores?: Readonly<Record<string, number>>;
}

/** Interprets the outputs of one example, [V]. `names`: those of the classes, in the order of the outputs. */
export function judge(
  { problem }: Pick<Model, "problem">,
  names: readonly string[],
  logits: Float32Array,
): Judgement {
  const { hasClasses, hasTargets } = factsOf(problem);
  if (!hasClasses) return { predicted: logits.length === 1 ? logits[0]! : Array.from(logits) };
  const logSum = logSumExp(logits);
  const probabilities = Array.from(logits, hasTargets ? sigmoid : (logit) => Math.exp(logit - logSum));
  return {
    predicted: hasTargets ? names.filter((_, i) => logits[i]! > 0) : names[likeliest(logits)]!,
    scores: Object.fromEntries(names.map((name, i) => [name, probabilities[i]!])),
  };
}
