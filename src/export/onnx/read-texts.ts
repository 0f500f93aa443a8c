/** @file What a program reads of texts, which are given as ids and a mask: texts to continue, or whole texts to classify. */
import type { Value } from "../../graph/graph.ts";
import { maskLengths } from "../../graph/ops/attention/mask-lengths.ts";
import { maskPositions } from "../../graph/ops/attention/mask-positions.ts";
import { equal } from "../../graph/ops/pointwise/compare.ts";
import { mul, sub } from "../../graph/ops/pointwise/elementwise.ts";
import type { Model } from "../../models/model.ts";
import {
  KEY_POSITIONS,
  KEY_SEGMENTS,
  LAST_KEY,
  NUM_KEYS,
  ONE_TOKEN_TYPE,
  POSITIONS,
  type PassInput,
  SEGMENTS,
  TOKEN_TYPES,
} from "../../nn/pass.ts";
import type { WholeGraph } from "./whole-graph.ts";

interface TextValues {
  /** int64 [B, T] */
  readonly ids: Value;
  /** Makes the inputs of a pass that parts read. */
  readonly ofPass: ReadonlyMap<PassInput, () => Value>;
  /** Ones at tokens that may tell the class, int64 [B, T]; null: there are no classes. */
  readonly marks: Value | null;
}

const TOKENS = ["B", "T"];

/** Reads texts of which only the last tokens are given; a cache has the earlier ones. */
export function textsOverCache(whole: WholeGraph): TextValues {
  const ids = whole.given("input_ids", "int64", TOKENS);
  const mask = whole.given("attention_mask", "int64", ["B", "P+T"]);
  const ofPass = new Map([
    [LAST_KEY, () => maskLengths(mask)[0]],
    [NUM_KEYS, () => maskLengths(mask)[1]],
    [KEY_SEGMENTS, () => mask],
    [KEY_POSITIONS, () => maskPositions(mask)],
    // Padding attends to keys as tokens do, and no token attends to it.
    [SEGMENTS, () => equal(ids, ids)],
    [POSITIONS, () => whole.given("position_ids", "int64", TOKENS)],
  ]);
  return { ids, ofPass, marks: null };
}

/** Reads whole texts, padded at either end. */
export function wholeTexts(whole: WholeGraph, { classPosition, raw }: Model): TextValues {
  const { pad_token_id: padId } = raw;
  const ids = whole.given("input_ids", "int64", TOKENS);
  const mask = whole.given("attention_mask", "int64", TOKENS);
  const ofPass = new Map([
    [POSITIONS, () => maskPositions(mask)],
    [SEGMENTS, () => mask],
    [TOKEN_TYPES, () => whole.given("token_type_ids", "int64", TOKENS)],
    [ONE_TOKEN_TYPE, () => sub(mask, mask)],
  ]);
  if (classPosition === "first" || typeof padId !== "number") return { ids, ofPass, marks: mask };
  // As in transformers, even if the tokenizer ends texts with the token that it also pads with.
  const padding = equal(ids, ids.graph.constant("int64", [], BigInt64Array.of(BigInt(padId))));
  return { ids, ofPass, marks: sub(mask, mul(mask, padding)) };
}
