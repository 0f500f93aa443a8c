/** @file Infers the classes from the labels of data, for a new head. */
import { UsageError } from "../../errors.ts";
import { unnamedClasses } from "../../models/config/classifier-config.ts";
import { columnsHint, JUDGED_KEYS } from "../rows/rows.ts";

/** How many class numbers without a row there may be for each number with some. */
const MAX_GAP = 2;

/**
 * Derives the classes from labels: texts are names, in numerical order if all are numbers, else in alphabetical order; numbers
 * count the classes from 0.
 * @throws UsageError "usage/data" for labels from which the number of classes is unclear
 */
export function inferClassNames(labels: ReadonlySet<string | number>): readonly string[] {
  const [names, numbers] = [[...labels].filter(isText), [...labels].filter((label) => !isText(label))];
  if (names.length > 0 && numbers.length > 0) {
    throw unclear(
      `labels are ${JSON.stringify(names[0])} and ${JSON.stringify(numbers[0])}`,
      "names or numbers, not both",
      "Write all labels as names, or all as numbers without quotes; or train with --classes, which names the classes.",
    );
  }
  if (labels.size === 0) {
    const hint = `${columnsHint([JUDGED_KEYS])} Or train with --classes, which names the classes.`;
    throw unclear("no row has one", `rows of ${JUDGED_KEYS.keys}`, hint);
  }
  if (labels.size === 1) throw unclear("one label", "at least two");
  if (names.length > 0) {
    const areNumbers = names.every((name) => /^\d+$/.test(name));
    return areNumbers ? names.sort((a, b) => Number(a) - Number(b)) : names.sort();
  }
  const wrong = numbers.find((label) => !Number.isSafeInteger(label) || label < 0);
  if (wrong !== undefined) {
    const hint =
      "Train with --classes, which names the classes. To train on numbers that are not classes, use --objective regression.";
    throw unclear(`a label is ${JSON.stringify(wrong)}`, "whole numbers from 0", hint);
  }
  const count = numbers.reduce((most, label) => Math.max(most, label), 0) + 1;
  if (count > (1 + MAX_GAP) * numbers.length) {
    throw unclear(
      `the largest label is ${count - 1}, and there are ${numbers.length}`,
      "numbers that count classes",
    );
  }
  return unnamedClasses(count);
}

/** Lists classes with their numbers. */
export function showClasses(names: readonly string[]): string {
  return names.map((name, i) => `${i} ${JSON.stringify(name)}`).join(", ");
}

function isText(label: string | number): label is string {
  return typeof label === "string";
}

function unclear(
  found: string,
  expected: string,
  hint = "Train with --classes, which names the classes, or with --num-classes, which counts them.",
): UsageError {
  return new UsageError(
    "usage/data",
    `Cannot find the classes in the labels of the data: ${found}, expected ${expected}`,
    { hint },
  );
}
