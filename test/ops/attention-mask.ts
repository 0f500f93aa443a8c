/** @file Reference and cases of attentionMask. */
import type { DType } from "../../src/graph/dtype.ts";
import { type Array64, at, build } from "./array64.ts";
import { type Draw, type OpCase, type OpSuite, float, given, integers, opCase, reject } from "./op-suite.ts";

type Size = number | string;
type Attributes = Readonly<{ causal: boolean; window: number | null }>;

const CAUSAL: Attributes = { causal: true, window: null };
const FULL: Attributes = { causal: false, window: null };

/** Places of rows of `length` as examples of `perSegment` tokens, of which the queries are those from `start` on. */
const inTurn =
  (length: number, perSegment: number, what: "segment" | "position", start = 0): Draw =>
  (_random, place) => {
    const token = start + (place % length);
    return what === "segment" ? Math.floor(token / perSegment) : token % perSegment;
  };

type Vectors = Readonly<Record<"querySegments" | "queryPositions" | "keySegments" | "keyPositions", Draw>>;

const drawn: Vectors = {
  querySegments: integers(3),
  queryPositions: integers(6),
  keySegments: integers(3),
  keyPositions: integers(6),
};

const masked = (
  name: string,
  [B, T, S]: readonly [Size, Size, Size],
  attributes: Attributes,
  vectors: Vectors = drawn,
  more: { readonly dtype?: DType; readonly bindings?: Record<string, number> } = {},
): OpCase => {
  const { dtype = "int32", bindings = {} } = more;
  const inputs = [
    { dtype, shape: [B, T], draw: vectors.querySegments },
    { dtype, shape: [B, T], draw: vectors.queryPositions },
    { dtype, shape: [B, S], draw: vectors.keySegments },
    { dtype, shape: [B, S], draw: vectors.keyPositions },
  ];
  return opCase(name, inputs, { attributes: { ...attributes }, bindings, tolerance: 0 });
};

/** Rows of T = S tokens, packed. */
const packed = (length: number, perSegment: number): Vectors => ({
  querySegments: inTurn(length, perSegment, "segment"),
  queryPositions: inTurn(length, perSegment, "position"),
  keySegments: inTurn(length, perSegment, "segment"),
  keyPositions: inTurn(length, perSegment, "position"),
});

const MOST = 2 ** 20 - 1;
const atTheEdges: Vectors = {
  querySegments: given(-2048, -1, 0, 2047),
  queryPositions: given(MOST, 0, MOST, MOST),
  keySegments: given(-2048, -2048, -1, -1, 0, 2046, 2047, 2047),
  keyPositions: given(0, MOST, 0, MOST, 0, MOST, 0, MOST),
};

const vector = (shape: readonly Size[], dtype: DType = "int32") => ({ dtype, shape, draw: integers(3) });

export const attentionMaskSuite: OpSuite = {
  op: "attentionMask",
  reference: ([querySegments, queryPositions, keySegments, keyPositions], attributes) => {
    const { causal, window } = attributes as Attributes;
    const [rows, length] = (querySegments as Array64).shape as [number, number];
    const numKeys = (keySegments as Array64).shape[1] as number;
    return [
      build([rows, 1, length, numKeys], ([b, , t, s]) => {
        const [query, key] = [
          [b, t],
          [b, s],
        ] as [number[], number[]];
        if (at(querySegments as Array64, query) !== at(keySegments as Array64, key)) return -1e9;
        const distance = at(queryPositions as Array64, query) - at(keyPositions as Array64, key);
        if (causal && distance < 0) return -1e9;
        return window !== null && distance >= window ? -1e9 : 0;
      }),
    ];
  },
  differentiable: () => false,
  cases: [
    masked("causal", [2, 5, 7], CAUSAL),
    masked("causal, int64", [2, 5, 7], CAUSAL, drawn, { dtype: "int64" }),
    masked("packed rows", [2, 6, 6], CAUSAL, packed(6, 4)),
    masked("both directions", [2, 5, 7], FULL),
    masked("both directions, int64", [2, 5, 7], FULL, drawn, { dtype: "int64" }),
    masked("a window", [2, 9, 9], { causal: true, window: 3 }, packed(9, 9)),
    masked("a window across examples", [2, 9, 9], { causal: true, window: 3 }, packed(9, 4)),
    masked("a window of the query alone", [1, 5, 5], { causal: true, window: 1 }, packed(5, 5)),
    masked("a window wider than the row", [1, 5, 5], { causal: true, window: 2 ** 30 }, packed(5, 3)),
    masked(
      "one query after cached keys",
      [1, 1, 8],
      { causal: true, window: 4 },
      {
        ...packed(8, 8),
        querySegments: given(0),
        queryPositions: given(7),
      },
    ),
    masked("the largest positions and segments", [1, 4, 8], CAUSAL, atTheEdges),
    masked("the largest positions, a window", [1, 4, 8], { causal: true, window: 5 }, atTheEdges),
    masked(
      "the largest positions, a window wider than a segment",
      [1, 4, 8],
      { causal: true, window: 2 ** 40 },
      atTheEdges,
    ),
    masked("symbolic sizes", ["B", "T", "P+T"], CAUSAL, drawn, { bindings: { B: 2, T: 3, P: 4 } }),
    masked("no queries", ["B", "T", 3], CAUSAL, drawn, { bindings: { B: 2, T: 0 } }),
    masked("no keys", ["B", 2, "S"], FULL, drawn, { bindings: { B: 2, S: 0 } }),
  ],
  rejected: [
    reject(
      "positions of another length",
      [vector([2, 3]), vector([2, 4]), vector([2, 5]), vector([2, 5])],
      CAUSAL,
    ),
    reject("keys of another batch", [vector([2, 3]), vector([2, 3]), vector([1, 5]), vector([1, 5])], CAUSAL),
    reject("two types", [vector([2, 3]), vector([2, 3]), vector([2, 5]), vector([2, 5], "int64")], CAUSAL),
    reject("floats", [float([2, 3]), float([2, 3]), float([2, 5]), float([2, 5])], CAUSAL),
    reject("vectors of one axis", [vector([3]), vector([3]), vector([5]), vector([5])], CAUSAL),
    ...[
      { causal: false, window: 4 },
      { causal: true, window: 0 },
      { causal: true, window: 2.5 },
    ].map((attributes) =>
      reject(
        `a window of ${attributes.window}, causal ${attributes.causal}`,
        [vector([2, 3]), vector([2, 3]), vector([2, 5]), vector([2, 5])],
        attributes,
      ),
    ),
  ],
  realistic: masked("[4, 1, 256, 256]", [4, 256, 256], CAUSAL, packed(256, 100)),
};
