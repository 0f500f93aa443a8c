/** @file Settings for the outputs of a model that predicts classes or numbers. */
import { showValue } from "../../messages/expected.ts";
import { unusable } from "./hf-config.ts";
import type { RawConfig } from "./raw-config.ts";

/** transformers' `problem_type`: exactly one class is right, any number of them may be, or the outputs are numbers. */
export const PROBLEM_TYPE = {
  oneClass: "single_label_classification",
  anyClasses: "multi_label_classification",
  numbers: "regression",
} as const;
export type ProblemType = (typeof PROBLEM_TYPE)[keyof typeof PROBLEM_TYPE];
export const PROBLEM_TYPES: readonly ProblemType[] = Object.values(PROBLEM_TYPE);

interface ProblemFacts {
  /** Whether outputs are classes with probabilities; else they are predicted numbers. */
  readonly hasClasses: boolean;
  /** Whether labels give a target number for each output, instead of the one right output. */
  readonly hasTargets: boolean;
}

const FACTS: Readonly<Record<ProblemType, ProblemFacts>> = {
  [PROBLEM_TYPE.oneClass]: { hasClasses: true, hasTargets: false },
  [PROBLEM_TYPE.anyClasses]: { hasClasses: true, hasTargets: true },
  [PROBLEM_TYPE.numbers]: { hasClasses: false, hasTargets: true },
};

/** Returns facts about outputs of this problem type; null: tokens, exactly one of which is right. */
export function factsOf(problem: ProblemType | null): ProblemFacts {
  return FACTS[problem ?? PROBLEM_TYPE.oneClass];
}

/** Names classes as transformers does by default. */
export function unnamedClasses(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
}

/** The outputs of a new head if its problem determines them: one number. Null: the caller names the classes. */
export function ownOutputs(problem: ProblemType): readonly string[] | null {
  return factsOf(problem).hasClasses ? null : unnamedClasses(1);
}

/** The meaning of a classifier's outputs; if not stated, a single output is a number, as in transformers. */
export function problemOf(raw: RawConfig): ProblemType {
  const { problem_type: named } = raw;
  const known = PROBLEM_TYPES.find((problem) => problem === named);
  return known ?? (countOf(raw).found === 1 ? PROBLEM_TYPE.numbers : PROBLEM_TYPE.oneClass);
}

/** Whether sentence-transformers uses a cross-encoder's output itself as the score; else its sigmoid. */
export function isScore(raw: RawConfig): boolean {
  const { sentence_transformers: own, sbert_ce_default_activation_function: older } = raw;
  const isObject = typeof own === "object" && own !== null && !Array.isArray(own);
  const activation = isObject ? (own as RawConfig)["activation_fn"] : older;
  return typeof activation === "string" && activation.endsWith(".Identity");
}

function countOf({ id2label, num_labels: given }: RawConfig): { key: string; found: unknown } {
  return typeof id2label === "object" && id2label !== null
    ? { key: "id2label", found: Object.keys(id2label).length }
    : { key: "num_labels", found: given ?? 2 };
}

/**
 * Returns the number of outputs of a model that predicts classes or numbers, for one of the given problem types.
 * @throws UsageError "usage/model" for another problem type, no outputs, or a single class to choose from
 */
export function numClasses(raw: RawConfig, problems: readonly ProblemType[] = PROBLEM_TYPES): number {
  const { problem_type: named = null } = raw;
  if (named !== null && !problems.some((problem) => problem === named)) {
    const expected = problems.map((problem) => JSON.stringify(problem)).join(", ");
    throw unusable(raw, `problem_type is ${showValue(named)} (expected ${expected})`);
  }
  const problem = problemOf(raw);
  const isOneEnough = problems.includes(problem) && factsOf(problem).hasTargets;
  const { key, found } = countOf(raw);
  const least = isOneEnough ? 1 : 2;
  if (typeof found === "number" && Number.isSafeInteger(found) && found >= least) return found;
  throw unusable(
    raw,
    `${key} is ${showValue(raw[key])} (expected at least ${isOneEnough ? "one output" : "two classes"})`,
  );
}

/** Returns the number of classes of an encoder. @throws UsageError "usage/model" for one without classes, or as `numClasses` */
export function requireClasses(raw: RawConfig): number {
  if (isClassifier(raw)) return numClasses(raw);
  throw unusable(
    raw,
    `architectures is ${JSON.stringify(raw["architectures"])} (expected one that ends in ForSequenceClassification)`,
    "Give this encoder a head for the classes of the data with --objective classification, or use one whose config.json names such a head.",
  );
}

/** Returns the transformers class of a configuration, the first of `architectures`; null: it names none. */
export function classOf({ architectures }: RawConfig): string | null {
  const [name] = Array.isArray(architectures) ? (architectures as unknown[]) : [];
  return typeof name === "string" ? name : null;
}

/** Whether a configuration is of a model whose head graft lacks: for tokens, answers or choices. */
export function hasForeignHead(raw: RawConfig): boolean {
  return /For(TokenClassification|QuestionAnswering|MultipleChoice)$/.test(classOf(raw) ?? "");
}

/** Whether a configuration is of a classifier of texts. */
export function isClassifier(raw: RawConfig): boolean {
  return classOf(raw)?.endsWith("ForSequenceClassification") === true;
}
