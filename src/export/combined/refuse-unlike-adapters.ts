/** @file Checks what combined adapters must have in common, according to their files. */
import { UsageError } from "../../errors.ts";
import type { WeightsFolder } from "../../format/adapters/adapter-weights.ts";
import { CLASSES_KEY, PROBLEM_KEY } from "../../format/adapters/adapter-classes.ts";
import { BASE_SAMPLE_KEY, mayShareBase } from "../../format/adapters/base-record.ts";
import { CODES_KEY } from "../../format/adapters/codes-hash.ts";
import { formatCountOf } from "../../messages/numbers.ts";
import { lastNames } from "../../models/module-path.ts";

/** Keys about the outputs of a model. */
const OUTPUT_KEYS = [CLASSES_KEY, PROBLEM_KEY];

/** A fact that must be the same for all adapters as for the first. */
interface SharedFact {
  /** Whether a file states the fact; files that do not are ignored. */
  readonly isTold: (folder: WeightsFolder) => boolean;
  readonly isSame: (first: WeightsFolder, other: WeightsFolder, otherName: string) => boolean;
  /** Describes two different facts, and what is expected. */
  readonly describe: (first: WeightsFolder, other: WeightsFolder) => string;
  readonly hint: string;
}

const SHARED_FACTS: readonly SharedFact[] = [
  {
    isTold: () => true,
    isSame: (first, other) => first.baseName === other.baseName,
    describe: (first, other) =>
      `they were made for "${first.baseName}" and "${other.baseName}", expected one base model`,
    hint: "Choose adapters of one model; if both names mean the same model, write the same name into both adapter_config.json files.",
  },
  {
    // Compared whatever the base's name is.
    isTold: ({ notes }) => notes[BASE_SAMPLE_KEY] !== undefined,
    isSame: (first, other, otherName) =>
      mayShareBase(otherName, other.notes[BASE_SAMPLE_KEY], first.notes[BASE_SAMPLE_KEY]),
    describe: () => "they were trained on bases with different weights, expected one base model",
    hint: "Choose adapters that were trained on one model, or train one of them again.",
  },
  {
    isTold: () => true,
    isSame: (first, other) => first.notes[CODES_KEY] === other.notes[CODES_KEY],
    describe: (first, other) =>
      modulesOf(first) === modulesOf(other)
        ? "they were trained on different codes of the base's weights, expected the same"
        : `they train scales of ${modulesOf(first)} and ${modulesOf(other)}, expected the same modules`,
    hint: "Train both on the same modules of one base model, in one file format and quantization.",
  },
  {
    isTold: ({ notes }) => OUTPUT_KEYS.some((key) => notes[key] !== undefined),
    isSame: (first, other) => OUTPUT_KEYS.every((key) => first.notes[key] === other.notes[key]),
    describe: (first, other) =>
      `their outputs are ${outputsOf(first)} and ${outputsOf(other)}, expected the same in the same order`,
    hint: "Train both for the same objective, with the same --classes.",
  },
];

/** The outputs of an adapter that predicts classes or numbers, as its file describes them. */
function outputsOf({ notes }: WeightsFolder): string {
  const told = OUTPUT_KEYS.flatMap((key) => notes[key] ?? []);
  return told.join(" of ");
}

/** The modules of an adapter by their short names, and their number. */
function modulesOf({ adapter: { sites } }: WeightsFolder): string {
  return `${lastNames(sites.keys()).toSorted().join(", ")} (${formatCountOf(sites.size, "module")})`;
}

/** Refuses adapters that do not fit each other. @throws UsageError "usage/combine" */
export function refuseUnlikeFolders(folders: ReadonlyMap<string, WeightsFolder>): void {
  for (const { isTold, isSame, describe, hint } of SHARED_FACTS) {
    const [first, ...others] = [...folders].filter(([, folder]) => isTold(folder));
    if (first === undefined) continue;
    const [firstName, firstFolder] = first;
    for (const [name, folder] of others) {
      if (isSame(firstFolder, folder, name)) continue;
      throw new UsageError(
        "usage/combine",
        `Cannot combine adapters "${firstName}" and "${name}": ${describe(firstFolder, folder)}`,
        { hint },
      );
    }
  }
}
