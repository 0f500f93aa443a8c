/** @file Turns the configuration of a base without classes into that of a classifier, as transformers writes it. */
import { UsageError } from "../../errors.ts";
import type { RawConfig } from "./raw-config.ts";
import { PROBLEM_TYPE, classOf, isClassifier, problemOf, type ProblemType } from "./classifier-config.ts";

/** The task at the end of a model's class name. */
const TASK = /(?:ForCausalLM|LMHeadModel|For[A-Z]\w*|Model)$/;

/** Whether a configuration is of a classifier of texts or images. */
export function tellsClasses(raw: RawConfig): boolean {
  return isClassifier(raw) || classOf(raw)?.endsWith("ForImageClassification") === true;
}

/** Adds a head with outputs of these names to a configuration. @throws UsageError "usage/model" for a model that has one */
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
    // transformers needs the padding to find the last token of a text.
    pad_token_id: raw["pad_token_id"] ?? (Array.isArray(eos) ? (eos[0] as unknown) : eos) ?? null,
  };
}

/** Adds the meaning of the head's outputs to a configuration that does not state it. */
export function withProblem(raw: RawConfig, problem: ProblemType): RawConfig {
  const isSaid = (raw["problem_type"] ?? null) !== null || problemOf(raw) === problem;
  return isSaid ? raw : { ...raw, problem_type: problem };
}

/** `qwen3_moe` or `qwen3-moe` → `Qwen3Moe`, for files that do not name their class. */
function classPrefix(modelType: string): string {
  return modelType.replaceAll(/(?:^|[_-])(\w)/g, (_, letter: string) => letter.toUpperCase());
}
