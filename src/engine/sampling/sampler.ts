/**
 * @file Chooses the next token from logits: the likeliest, or a seeded draw from the tokens that temperature, top-k and top-p
 * leave.
 *
 * Temperature comes first, then top-k, then top-p over what top-k has left, then min-p. Of equal logits the lowest id comes
 * first.
 */
import { z } from "zod";
import type { Random } from "../../random.ts";
import { likeliest } from "../../run/head/likeliest.ts";

/** The only description of the settings: flags, defaults and validation derive from it. */
export const SAMPLING_OPTIONS = z.strictObject({
  temperature: z.number().min(0).default(0).describe("sampling temperature; 0 is greedy decoding"),
  topK: z.int().min(0).default(0).describe("sample from the K most likely tokens; 0: from all"),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe("nucleus sampling: sample from the most likely tokens with this total probability"),
  minP: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      "sample only from tokens with at least this share of the most likely one's probability; 0: all",
    ),
  seed: z.int().min(0).default(0).describe("random seed"),
});

/** How the next token is drawn, as callers give it. By default, the likeliest is taken. */
export interface SamplingOptions {
  /** Divides the logits; 0 (the default): the likeliest token. */
  readonly temperature?: number | undefined;
  /** Draws from this many of the likeliest tokens; 0 (the default): from all. */
  readonly topK?: number | undefined;
  /** Draws from the likeliest tokens that together have this probability; 1 (the default): from all. */
  readonly topP?: number | undefined;
  /** Draws from tokens with at least this share of the likeliest one's probability; 0 (the default): from all. */
  readonly minP?: number | undefined;
}

/** Settings of a draw, all given. */
export type Draw = Omit<z.output<typeof SAMPLING_OPTIONS>, "seed">;

/** Settings that take the likeliest token. */
export const GREEDY: Draw = { temperature: 0, topK: 0, topP: 1, minP: 0 };

/** Chooses the id of the next token from logits [V]. Draws once from `random` when the temperature is above 0, otherwise never. */
export function sampleToken(logits: Float32Array, options: Draw, random: Random): number {
  if (options.temperature === 0) return likeliest(logits);
  return firstOf(candidates(logits, options), random.uniforms());
}

/**
 * Draws by a race: an id of weight w arrives at time −ln(u) / w, with its own u, so that it is first with probability w / Σw. A
 * rounding error in a weight then changes the time of that id only. In a draw by cumulative sums it would shift all later ids and
 * change the result thousands of times as often.
 */
function firstOf({ ids, weights }: Candidates, uniformOf: (id: number) => number): number {
  let first = ids[0]!;
  let earliest = Infinity;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    const weight = weights[i]!;
    const uniform = uniformOf(id);
    // Since −ln(u) ≥ 1 − u, most ids are too late without computing a logarithm. Forbidden ids have weight 0.
    if (weight === 0 || 1 - uniform > earliest * weight) continue;
    const time = -Math.log(uniform) / weight;
    if (time < earliest) [first, earliest] = [id, time];
  }
  return first;
}

/** Ids that may be drawn and their weights, which are probabilities times a common factor. */
interface Candidates {
  readonly ids: Int32Array | readonly number[];
  readonly weights: Float64Array;
}

function candidates(logits: Float32Array, { temperature, topK, topP, minP }: Draw): Candidates {
  const ids = topK > 0 && topK < logits.length ? likeliestIds(logits, topK) : null;
  const largest = logits[likeliest(logits)]!;
  const all = ids ?? everyId(logits.length);
  const weights = new Float64Array(all.length);
  // The largest exponent is 0, so nothing overflows. (`from` with a function takes ten times as long.)
  for (let i = 0; i < all.length; i++) weights[i] = Math.exp((logits[all[i]!]! - largest) / temperature);
  const kept = topP < 1 ? nucleus(logits, all, weights, topP) : { ids: all, weights };
  // The likeliest has weight 1, so `minP` is a bound for weights.
  return minP > 0 ? atLeast(minP, kept) : kept;
}

function everyId(count: number): Int32Array {
  const ids = new Int32Array(count);
  for (let id = 0; id < count; id++) ids[id] = id;
  return ids;
}

function atLeast(least: number, { ids, weights }: Candidates): Candidates {
  const kept: number[] = [];
  for (let i = 0; i < weights.length; i++) if (weights[i]! >= least) kept.push(i);
  return { ids: kept.map((i) => ids[i]!), weights: Float64Array.from(kept, (i) => weights[i]!) };
}

/** The k ids with the largest logits, in order of ids. */
function likeliestIds(logits: Float32Array, k: number): number[] {
  const bound = Float32Array.from(logits).sort()[logits.length - k]!;
  let numAtBound = k;
  for (const logit of logits) if (logit > bound) numAtBound--;
  const ids: number[] = [];
  for (const [id, logit] of logits.entries()) {
    if (logit > bound || (logit === bound && numAtBound-- > 0)) ids.push(id);
  }
  return ids;
}

/** The likeliest ids that together have at least the share `topP`. */
function nucleus(
  logits: Float32Array,
  ids: Candidates["ids"],
  weights: Float64Array,
  topP: number,
): Candidates {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  // Weights below this bound add up to less than may be left out, so they need no sorting.
  const negligible = ((1 - topP) * total) / weights.length;
  const order: number[] = [];
  for (let i = 0; i < weights.length; i++) if (weights[i]! >= negligible) order.push(i);
  order.sort((a, b) => logits[ids[b]!]! - logits[ids[a]!]! || ids[a]! - ids[b]!);
  let sum = 0;
  let count = 0;
  while (count < order.length && sum < topP * total) sum += weights[order[count++]!]!;
  const kept = order.slice(0, Math.max(1, count));
  return { ids: kept.map((i) => ids[i]!), weights: Float64Array.from(kept, (i) => weights[i]!) };
}
