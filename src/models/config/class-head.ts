/** @file The configuration of the classifier that a base without classes becomes, as transformers writes it. */
import { UsageError } from "../../errors.ts";
import type { RawConfig } from "./raw-config.ts";
import { PROBLEM_TYPE, classOf, isClassifier, problemOf, type ProblemType } from "./classifier-config.ts";

/** The task at the end of a model's class name. */
const TASK = /(?:ForCausalLM|LMHeadModel|For[A-Z]\w*|Model)$/;

/** Whether a configuration is of a model that tells classes, of texts or images. */
export function tellsClasses(raw: RawConfig): boolean {
  return isClassifier(raw) || classOf(raw)?.endsWith("ForImageClassification") === true;
}

/** Gives a configuration a head with outputs of these names. @throws UsageError "usage/model" for a model that has one */
export function withClasses(
  raw: RawConfig,
  names: readonly string[],
  problem: ProblemType = PROBLEM_TYPE.oneClass,
): RawConfig {
  if (tellsClasses(raw)) {
    throw new UsageError("usage/model", "Cannot give the model a classification head: it has one", {
      hint: "Train its existing head, or use a base without one.",
    });
  }
  const stem = classOf(raw)?.replace(TASK, "") ?? classPrefix(String(raw["model_type"]));
  const { num_labels: _numLabels, eos_token_id: eos, ...others } = raw;
  return {
    ...others,
    ...(eos === undefined ? {} : { eos_token_id: eos }),
    architectures: [`${stem}ForSequenceClassification`],
    id2label: Object.fromEntries(names.entries()),
    label2id: Object.fromEntries(names.map((label, i) => [label, i])),
    problem_type: problem,
    // transformers finds the last token of a text by its padding.
    pad_token_id: raw["pad_token_id"] ?? (Array.isArray(eos) ? (eos[0] as unknown) : eos) ?? null,
  };
}

/** Says what the outputs of a model's head mean, where its configuration does not. */
export function withProblem(raw: RawConfig, problem: ProblemType): RawConfig {
  const isSaid = (raw["problem_type"] ?? null) !== null || problemOf(raw) === problem;
  return isSaid ? raw : { ...raw, problem_type: problem };
}

/** `qwen3_moe` → `Qwen3Moe`, or by dashes, where a file does not name its class. */
function classPrefix(modelType: string): string {
  return modelType.replaceAll(/(?:^|[_-])(\w)/g, (_, letter: string) => letter.toUpperCase());
}
