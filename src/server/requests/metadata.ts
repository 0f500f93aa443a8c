/** @file The metadata that clients attach to what they create, within OpenAI's limits. */
import { z } from "zod";

const MAX_PAIRS = 16;
const MAX_KEY = 64;
const MAX_VALUE = 512;

/** Counts characters, some of which are two units of a string. */
const isWithin = (text: string, most: number): boolean =>
  text.length <= 2 * most && Array.from(text).length <= most;

/** Pairs of strings. */
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
      // The message does not name the key, which may be very long.
      ...(keys.every((key) => isWithin(key, MAX_KEY)) ? [] : [`keys of at most ${MAX_KEY} characters`]),
    ];
    if (faults.length > 0) context.addIssue({ code: "custom", message: `expected ${faults.join(", and ")}` });
  });
