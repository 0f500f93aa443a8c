/**
 * @file What a program reads of a pass beside activations and weights: positions, segments, tables of rotary positions.
 *
 * Whoever builds a graph declares what it reads; only that is made, once a pass, for all programs.
 */
import type { DataOf, DType } from "../graph/dtype.ts";
import { FORGET_ALL } from "../graph/ops/linear-attention/linear-attention-nodes.ts";
import type { Shape } from "../graph/shape.ts";

/** What is known of the tokens of a pass: B rows of T tokens, and with a cache the S tokens that they may look at. */
export interface PassFacts {
  /** B */
  readonly numRows: number;
  /** T */
  readonly length: number;
  /** [B, T], from 0 in each example. */
  readonly positions: BigInt64Array;
  /** [B, T], number of the example in its row from 1; 0 is padding. */
  readonly segments: Int32Array;
  /** [B, T], which part of a pair of texts a token belongs to; null: all to the first. */
  readonly tokenTypes: Int32Array | null;
  /** Positions and segments of all tokens, cached ones first; null: there is no cache. */
  readonly keys: { readonly positions: BigInt64Array; readonly segments: Int32Array } | null;
  /** Tokens that the text of each row has so far, of which a pass may run a part; null: examples are whole. */
  readonly textLengths: readonly number[] | null;
  /** Whether a token is the last of a prompt; null: none is. */
  readonly isPromptEnd: ((row: number, index: number) => boolean) | null;
}

/** A tensor that is made for each pass. Symbols of its shape: B, T, P+T. */
export interface PassInput<D extends DType = DType> {
  readonly name: string;
  readonly dtype: D;
  readonly shape: Shape;
  /** Whether it tells prompts apart: then keys and values that were cached for one are no good for another. */
  readonly perPrompt: boolean;
  /** Another that is the same for texts whose keys can be kept; absent: none is. */
  readonly whereKept?: PassInput;
  /** Writes every element. */
  fill(facts: PassFacts, data: DataOf<D>): void;
}

/** A table that positions are looked up in, made once and again when longer ones are needed. */
export interface PositionTable {
  readonly name: string;
  /** Columns. */
  readonly width: number;
  /** Rows that are looked up where the longest example has so many positions. */
  numRows(numPositions: number): number;
  /** Its first rows; returns a new array. */
  rows(numRows: number): Float32Array;
}

/** Names, types and checks an input that is made for each pass. */
export function passInput<D extends DType>(input: PassInput<D>): PassInput {
  return input;
}

/** Position of each token in its example, int64 [B, T]. */
export const POSITIONS = passInput({
  name: "positions",
  dtype: "int64",
  shape: ["B", "T"],
  perPrompt: false,
  fill: ({ positions }, data) => data.set(positions),
});

/** The positions, or behind `numShort` rows for those where an example has more than so many, int64 [B, T]. */
export function positionsByLength(numShort: number): PassInput {
  return passInput({
    name: `positionsBeyond${numShort}`,
    dtype: "int64",
    shape: ["B", "T"],
    perPrompt: false,
    whereKept: POSITIONS,
    fill: ({ positions, segments, length, textLengths }, data) => {
      // Backwards, as the last token of an example comes first then.
      let [example, behind] = ["", 0n];
      for (let at = data.length - 1; at >= 0; at--) {
        const row = Math.floor(at / length);
        const own = `${row} ${segments[at]}`;
        if (own !== example) {
          const numPositions = textLengths?.[row] ?? Number(positions[at]) + 1;
          [example, behind] = [own, numPositions > numShort ? BigInt(numShort) : 0n];
        }
        data[at] = positions[at]! + behind;
      }
    },
  });
}

/** Number of each token's example in its row, int64 [B, T]; 0 is padding. */
export const SEGMENTS = passInput({
  name: "segments",
  dtype: "int64",
  shape: ["B", "T"],
  perPrompt: false,
  fill: ({ segments }, data) => copyIntegers(segments, data),
});

/** Positions of the cached tokens and the new ones, int64 [B, P+T]. */
export const KEY_POSITIONS = passInput({
  name: "keyPositions",
  dtype: "int64",
  shape: ["B", "P+T"],
  perPrompt: false,
  fill: ({ keys, positions }, data) => data.set(keys?.positions ?? positions),
});

/** Segments of the cached tokens and the new ones, int64 [B, P+T]. */
export const KEY_SEGMENTS = passInput({
  name: "keySegments",
  dtype: "int64",
  shape: ["B", "P+T"],
  perPrompt: false,
  fill: ({ keys, segments }, data) => copyIntegers(keys?.segments ?? segments, data),
});

/** Index of the last key of each row, int32 [B], where the tokens of a row follow each other from position 0. */
export const LAST_KEY = passInput({
  name: "lastKey",
  dtype: "int32",
  shape: ["B"],
  perPrompt: false,
  fill: ({ length, positions }, data) => {
    for (let row = 0; row < data.length; row++) data[row] = Number(positions[(row + 1) * length - 1]);
  },
});

/** How many keys the longest of such rows has, int32 [1]. */
export const NUM_KEYS = passInput({
  name: "numKeys",
  dtype: "int32",
  shape: [1],
  perPrompt: false,
  fill: ({ positions }, data) => {
    data[0] = 0;
    for (const position of positions) data[0] = Math.max(data[0], Number(position) + 1);
  },
});

/** Whether the token so far before each is of its example, 1 or 0, float32 [B, T, 1]. */
export function hasEarlier(distance: number): PassInput {
  return passInput({
    name: `hasEarlier${distance}`,
    dtype: "float32",
    shape: ["B", "T", 1],
    perPrompt: false,
    fill: ({ segments, length }, data) => {
      for (const [at, segment] of segments.entries())
        data[at] = Number(at % length >= distance && segments[at - distance] === segment);
    },
  });
}

/** What a token adds to the logarithm of what it keeps of those before it, float32 [B, T, 1]: the first of an example keeps nothing. */
export const FRESH_START = passInput({
  name: "freshStart",
  dtype: "float32",
  shape: ["B", "T", 1],
  perPrompt: false,
  fill: ({ segments, length }, data) => {
    for (const [at, segment] of segments.entries())
      data[at] = at % length === 0 || segments[at - 1] !== segment ? FORGET_ALL : 0;
  },
});

/** What there is before the first token of a row, float32 [B, count, width]: zeros. */
export function beforeRows(count: number, width: number): PassInput {
  return passInput({
    name: `beforeRows${count}x${width}`,
    dtype: "float32",
    shape: ["B", count, width],
    perPrompt: false,
    fill: (_facts, data) => data.fill(0),
  });
}

const TYPES = { name: "tokenTypes", dtype: "int64", shape: ["B", "T"], perPrompt: false } as const;

/** Which part of a pair of texts each token belongs to, int64 [B, T]. */
export const TOKEN_TYPES = passInput({
  ...TYPES,
  fill: ({ tokenTypes }, data) => (tokenTypes ? copyIntegers(tokenTypes, data) : data.fill(0n)),
});

/** The same of a model that tells no parts apart: all are the first. */
export const ONE_TOKEN_TYPE = passInput({ ...TYPES, fill: (_facts, data) => data.fill(0n) });

function copyIntegers(from: Int32Array, to: BigInt64Array): void {
  for (let i = 0; i < from.length; i++) to[i] = BigInt(from[i]!);
}
