/**
 * @file Rows that compare or judge answers: TRL's forms, and OpenAI's for preferences.
 *
 * In a row without a prompt, the prompt is the common beginning of both answers: whole messages, or text up to the last space
 * before they differ.
 */
import { formatJson } from "../../format/files/json-file.ts";
import { jsonKind, isRecord, type RawFields, rowError } from "./row-error.ts";
import type { JudgedRow, PreferenceRow, RowFormat, TargetRow } from "./rows.ts";
import { promptWith, readJudgement } from "./target-rows.ts";

/** Refuses weights other than 0 and 1: a comparison only distinguishes tokens of the answer from others. */
function checkWeights(row: TargetRow, key: string): TargetRow {
  if (row.kind !== "chat") return row;
  const odd = row.messages.find(({ weight }) => weight !== 0 && weight !== 1);
  if (odd === undefined) return row;
  throw rowError(
    `"${key}"`,
    `a message of weight ${odd.weight}`,
    "0 or 1 when answers are compared",
    "Remove the weight.",
  );
}

function readAnswer(prompt: unknown, answer: unknown, key: string, row: RawFields): TargetRow {
  return checkWeights(promptWith(prompt, answer, key, row), key);
}

function pair(prompt: unknown, chosen: unknown, rejected: unknown, row: RawFields): PreferenceRow {
  if (formatJson(chosen) === formatJson(rejected)) {
    throw rowError(
      '"chosen" and "rejected"',
      "the same answer twice",
      "two different answers",
      "Change one, or remove the row.",
    );
  }
  return {
    kind: "preference",
    chosen: readAnswer(prompt, chosen, "chosen", row),
    rejected: readAnswer(prompt, rejected, "rejected", row),
  };
}

/**
 * Whether both answers begin with the prompt as messages, as in some data sets on the hub. A prompt as text is then only a
 * title.
 */
function hasPromptInside({ prompt, chosen, rejected }: RawFields): boolean {
  const begins = (answer: unknown): boolean =>
    Array.isArray(answer) &&
    answer.length > 1 &&
    (typeof prompt === "string" ||
      (Array.isArray(prompt) && formatJson(answer.slice(0, prompt.length)) === formatJson(prompt)));
  return begins(chosen) && begins(rejected);
}

/** Splits off the common beginning of two texts or lists of messages. @throws usage/data when there is none */
function readImplicit(row: RawFields): PreferenceRow {
  const { chosen, rejected } = row as { chosen: string | unknown[]; rejected: string | unknown[] };
  const isText = typeof chosen === "string" && typeof rejected === "string";
  if (!isText && !(Array.isArray(chosen) && Array.isArray(rejected))) {
    throw rowError(
      '"chosen" and "rejected"',
      `${jsonKind(chosen)} and ${jsonKind(rejected)}`,
      "two strings or two lists of messages",
      "Write both in the same form.",
    );
  }
  const shortest = Math.min(chosen.length, rejected.length);
  let length = 0;
  while (length < shortest && formatJson(chosen[length]) === formatJson(rejected[length])) length++;
  // If one list begins the other, it must keep its last message as an answer; and a word must not be cut.
  if (isText) length = chosen.slice(0, length).search(/(?<!\s)\s+\S*$/u);
  else if (length === shortest) length--;
  if (length <= 0 && formatJson(chosen) !== formatJson(rejected)) {
    throw rowError(
      '"chosen" and "rejected"',
      "no common beginning",
      'a common prompt, or a separate "prompt"',
      "Add the prompt to the row.",
    );
  }
  return pair(chosen.slice(0, length), chosen.slice(length), rejected.slice(length), row);
}

function readOpenAi(row: RawFields): PreferenceRow {
  const input = row["input"];
  if (!isRecord(input)) throw rowError('"input"', jsonKind(input), "an object with messages", "Fix the row.");
  return pair(input["messages"], row["preferred_output"], row["non_preferred_output"], input);
}

export const PREFERENCE_FORMS: readonly RowFormat<PreferenceRow>[] = [
  {
    keys: '{"prompt", "chosen", "rejected"}',
    matches: (row) => "prompt" in row && "chosen" in row && "rejected" in row,
    read: (row) =>
      hasPromptInside(row) ? readImplicit(row) : pair(row["prompt"], row["chosen"], row["rejected"], row),
  },
  {
    keys: '{"chosen", "rejected"}',
    matches: (row) => "chosen" in row && "rejected" in row,
    read: readImplicit,
  },
  {
    keys: '{"input", "preferred_output", "non_preferred_output"}',
    matches: (row) => "preferred_output" in row && "non_preferred_output" in row,
    read: readOpenAi,
  },
];

/** Whether an answer is labelled good; 1 and 0 are accepted only here, since beside text to learn they may be classes. */
function readVerdict(label: unknown): boolean | null {
  if (label === 1 || label === "1") return true;
  return label === 0 || label === "0" ? false : readJudgement(label);
}

export const JUDGED_FORMS: readonly RowFormat<JudgedRow>[] = [
  {
    keys: '{"prompt", "completion", "label"}',
    matches: (row) => "prompt" in row && "completion" in row && "label" in row,
    read: (row) => {
      const isDesirable = readVerdict(row["label"]);
      if (isDesirable === null) {
        const found = JSON.stringify(row["label"]) ?? "nothing";
        throw rowError(
          '"label"',
          found,
          "true or 1 for a good answer, false or 0 for a bad one",
          "Fix the row.",
        );
      }
      const answer = readAnswer(row["prompt"], row["completion"], "completion", row);
      return { kind: "judged", answer, isDesirable };
    },
  },
];
