/** @file The maximum number of tokens of an example: the given one or, by default, one that the model has positions for. */
import { z } from "zod";
import type { Model } from "../models/model.ts";

/** The default, if the model has as many positions. */
const USUAL = 512;

/** The setting; `what` describes it. */
export function maxLengthSetting(what: string) {
  return z
    .int()
    .min(2)
    .optional()
    .describe(`${what}; default: ${USUAL}, or the model's positions if they are fewer`);
}

/** Notes that the default is lower because the model has few positions; an empty list if it is not, or a length is given. */
export function noteMaxLength(
  model: Pick<Model, "maxPositions" | "image">,
  given: number | undefined,
): string[] {
  const length = maxLengthFor(model, given);
  return given !== undefined || length === USUAL
    ? []
    : [`Examples have at most ${length} tokens (--max-length): the model has no more positions`];
}

/** Maximum tokens of an example; a given number is used as it is. Images are never cut, so for them it is the default. */
export function maxLengthFor(
  { maxPositions, image }: Pick<Model, "maxPositions" | "image">,
  given: number | undefined,
): number {
  return given ?? (image === null ? Math.min(USUAL, maxPositions) : USUAL);
}
