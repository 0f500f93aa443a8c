/** @file The metadata that clients attach to what they make, within OpenAI's limits. */
import { z } from "zod";

const MAX_PAIRS = 16;
const MAX_KEY = 64;
const MAX_VALUE = 512;

/** Counts characters, of which some take two units of a string. */
const isWithin = (text: string, most: number): boolean =>
  text.length <= 2 * most && Array.from(text).length <= most;

/** Pairs of texts. */
export const METADATA = z
  .record(
    z.string(),
    z
      .string()
      .refine((value) => isWithin(value, MAX_VALUE), `expected at most ${MAX_VALUE} characters`)
      .meta({ maxLength: MAX_VALUE }),
  )
  .superRefine((pairs, context) => {
    const keys = Object.keys(pairs);
    const faults = [
      ...(keys.length > MAX_PAIRS ? [`at most ${MAX_PAIRS} pairs`] : []),
      // Which one would be as long as it is.
      ...(keys.every((key) => isWithin(key, MAX_KEY)) ? [] : [`keys of at most ${MAX_KEY} characters`]),
    ];
    if (faults.length > 0) context.addIssue({ code: "custom", message: `expected ${faults.join(", and ")}` });
  });
