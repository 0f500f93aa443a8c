/**
 * @file Inputs of programs that depend on the pass, beside activations and weights: positions, segments, tables of rotary positions.
 *
 * A graph declares those it reads; only these are made, once per pass for all programs.
 */
import type { DataOf, DType } from "../graph/dtype.ts";
import { FORGET_ALL } from "../graph/ops/linear-attention/linear-attention-nodes.ts";
import type { Shape } from "../graph/shape.ts";

/** The tokens of a pass: B rows of T tokens, and with a cache the S tokens that they may attend to. */
export interface PassFacts {
  /** B */
  readonly numRows: number;
  /** T */
  readonly length: number;
  /** [B, T], from 0 in each example. */
  readonly positions: BigInt64Array;
  /** [B, T], number of the example within its row, from 1; 0 is padding. */
  readonly segments: Int32Array;
  /** [B, T], which part of a pair of texts a token belongs to; null: all tokens belong to the first. */
  readonly tokenTypes: Int32Array | null;
  /** Positions and segments of all tokens, cached ones first; null: there is no cache. */
  readonly keys: { readonly positions: BigInt64Array; readonly segments: Int32Array } | null;
  /** Length so far of the text in each row, of which a pass may run only a part; null: rows hold whole examples. */
  readonly textLengths: readonly number[] | null;
  /** Whether a token is the last of a prompt; null: none is. */
  readonly isPromptEnd: ((row: number, index: number) => boolean) | null;
}

/** A tensor that is made for each pass. Symbols of its shape: B, T, P+T. */
export interface PassInput<D extends DType = DType> {
  readonly name: string;
  readonly dtype: D;
  readonly shape: Shape;
  /** Whether it depends on where the prompt ends; keys and values cached for one prompt must then not be reused for another. */
  readonly perPrompt: boolean;
  /** The input that has the same values wherever keys can be kept; absent: this one itself. */
  readonly whereKept?: PassInput;
  /** Writes every element. */
  fill(facts: PassFacts, data: DataOf<D>): void;
}

/** A table indexed by position, made once, and again when more rows are needed. */
export interface PositionTable {
  readonly name: string;
  /** Columns. */
  readonly width: number;
  /** How many rows are needed if the longest example has `numPositions` positions. */
  numRows(numPositions: number): number;
  /** Computes its first rows, in a new array. */
  rows(numRows: number): Float32Array;
}

/** Declares an input that is made for each pass, with its element type checked. */
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

/** The positions, int64 [B, T], plus `numShort` in examples with more than `numShort` positions. */
export function positionsByLength(numShort: number): PassInput {
  return passInput({
    name: `positionsBeyond${numShort}`,
    dtype: "int64",
    shape: ["B", "T"],
    perPrompt: false,
    whereKept: POSITIONS,
    fill: ({ positions, segments, length, textLengths }, data) => {
      // Goes backward, so that the last token of an example comes first and gives its length.
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

/** Number of each token's example within its row, int64 [B, T]; 0 is padding. */
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

/** Index of the last key of each row, int32 [B], for rows whose tokens have consecutive positions from 0. */
export const LAST_KEY = passInput({
  name: "lastKey",
  dtype: "int32",
  shape: ["B"],
  perPrompt: false,
  fill: ({ length, positions }, data) => {
    for (let row = 0; row < data.length; row++) data[row] = Number(positions[(row + 1) * length - 1]);
  },
});

/** Number of keys of the longest such row, int32 [1]. */
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

/** For each token 1 if the one `distance` before it belongs to the same example, else 0, float32 [B, T, 1]. */
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

/** Added to the decay of each token, float32 [B, T, 1]: the first token of an example clears the memory, the others add 0. */
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

/** Zeros that stand for the tokens before a row, float32 [B, count, width]. */
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

/** The same for a model that does not tell parts apart: all zeros. */
export const ONE_TOKEN_TYPE = passInput({ ...TYPES, fill: (_facts, data) => data.fill(0n) });

function copyIntegers(from: Int32Array, to: BigInt64Array): void {
  for (let i = 0; i < from.length; i++) to[i] = BigInt(from[i]!);
}
