/** @file How many tokens an example has at most: as many as are asked for or, where nobody asks, as the model has positions for. */
import { z } from "zod";
import type { Model } from "../models/model.ts";

/** Where nobody says how many, and the model has as many positions. */
const USUAL = 512;

/** The setting; `what` says what it does. */
export function maxLengthSetting(what: string) {
  return z
    .int()
    .min(2)
    .optional()
    .describe(`${what}; default: ${USUAL}, or the model's positions if they are fewer`);
}

/** Says that a model has fewer positions than is usual, where nobody says how many tokens an example has. */
export function noteMaxLength(
  model: Pick<Model, "maxPositions" | "image">,
  given: number | undefined,
): string[] {
  const length = maxLengthFor(model, given);
  return given !== undefined || length === USUAL
    ? []
    : [`Examples have at most ${length} tokens (--max-length): the model has no more positions`];
}

/** Tokens of an example at most; what is given stays. Of images none are cut, so that theirs is what is usual. */
export function maxLengthFor(
  { maxPositions, image }: Pick<Model, "maxPositions" | "image">,
  given: number | undefined,
): number {
  return given ?? (image === null ? Math.min(USUAL, maxPositions) : USUAL);
}
