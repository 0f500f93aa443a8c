/** @file What a configuration says of the classes that a model tells. */
import { showValue } from "../../messages/expected.ts";
import { unusable } from "./hf-config.ts";
import type { RawConfig } from "./raw-config.ts";

/** transformers' `problem_type` of texts with one class each. */
const ONE_OF_CLASSES = "single_label_classification";

/**
 * Which class a row has, for models that tell classes: their number.
 * @throws UsageError "usage/model" for fewer than two, which transformers takes for a number to be told, or for several at once
 */
export function numClasses(raw: RawConfig): number {
  const { id2label, num_labels: given, problem_type: problem = null } = raw;
  if (problem !== null && problem !== ONE_OF_CLASSES)
    throw unusable(raw, `problem_type is ${showValue(problem)} (expected "${ONE_OF_CLASSES}")`);
  const isNamed = typeof id2label === "object" && id2label !== null;
  const found = isNamed ? Object.keys(id2label).length : (given ?? 2);
  if (typeof found === "number" && Number.isSafeInteger(found) && found > 1) return found;
  const key = isNamed ? "id2label" : "num_labels";
  const number = found === 1 ? ": of one, transformers learns a number, as rerankers do" : "";
  throw unusable(raw, `${key} is ${showValue(raw[key])} (expected at least two classes${number})`);
}

/** The number of classes of an encoder. @throws UsageError "usage/model" for one that does not tell classes, or as `numClasses` */
export function requireClasses(raw: RawConfig): number {
  if (isClassifier(raw)) return numClasses(raw);
  throw unusable(
    raw,
    `architectures is ${JSON.stringify(raw["architectures"])} (expected one that ends in ForSequenceClassification)`,
    "Give this encoder a head for the classes of the data by --objective classification, or take one whose config.json names such a head.",
  );
}

/** Whether `architectures` names a model that tells the class of a text. */
export function isClassifier(raw: RawConfig): boolean {
  const [name] = Array.isArray(raw["architectures"]) ? raw["architectures"] : [];
  return typeof name === "string" && name.endsWith("ForSequenceClassification");
}
