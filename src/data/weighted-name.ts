/** @file The name of a data set with its weight, as one text: `b.jsonl=2` is drawn twice per epoch. */
import { UsageError } from "../errors.ts";

/** A data set, and how many times an epoch goes through it. */
interface WeightedName {
  readonly path: string;
  readonly weight: number;
}

/**
 * Separates a weight from the name before it; `exists` recognises names that themselves contain "=".
 * @throws UsageError "usage/flag"
 */
export function readWeightedName(text: string, exists: (path: string) => boolean): WeightedName {
  const at = text.lastIndexOf("=");
  const word = text.slice(at + 1);
  if (at <= 0 || word.trim() === "" || exists(text)) return { path: text, weight: 1 };
  const weight = Number(word);
  if (weight > 0 && Number.isFinite(weight)) return { path: text.slice(0, at), weight };
  // The "=" is part of the name of a missing file.
  if (Number.isNaN(weight)) return { path: text, weight: 1 };
  throw new UsageError(
    "usage/flag",
    `Cannot draw data set "${text.slice(0, at)}" ${word} times per epoch: expected a number above 0`,
    { hint: "Give a weight such as 2 or 0.5, or leave the data set out." },
  );
}
