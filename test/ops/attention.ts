/** @file Reference and cases of attention and of its gradient, by one loop over heads, queries and keys. */
import type { DType } from "../../src/graph/dtype.ts";
import type { AttentionAttributes } from "../../src/graph/ops/attention/attention-values.ts";
import { type Array64, at, build, put } from "./array64.ts";
import {
  type Draw,
  type InputSpec,
  type OpCase,
  type OpSuite,
  float,
  given,
  integers,
  opCase,
  reject,
} from "./op-suite.ts";

export type Size = number | string;

export const PLAIN: AttentionAttributes = {
  scale: 0.5,
  softcap: null,
  causal: true,
  window: null,
  chunk: { length: 1, count: 1 },
};

type Places = Readonly<Record<"querySegments" | "queryPositions" | "keySegments" | "keyPositions", Draw>>;

/** Places of rows of `length` as examples of `perSegment` tokens, of which the queries are those from `start` on. */
const inTurn =
  (length: number, perSegment: number, what: "segment" | "position", start = 0): Draw =>
  (_random, place) => {
    const token = start + (place % length);
    return what === "segment" ? Math.floor(token / perSegment) : token % perSegment;
  };

/** Packed rows of `length` keys, of which the last `numQueries` are queries. */
export const packed = (length: number, perSegment: number, numQueries = length): Places => ({
  querySegments: inTurn(numQueries, perSegment, "segment", length - numQueries),
  queryPositions: inTurn(numQueries, perSegment, "position", length - numQueries),
  keySegments: inTurn(length, perSegment, "segment"),
  keyPositions: inTurn(length, perSegment, "position"),
});

/** Two rows of nine tokens, of which none begins a text where the other does, and the first ends in padding. */
const unlikeRows: Places = {
  querySegments: given(1, 1, 1, 2, 2, 2, 2, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3),
  queryPositions: given(0, 1, 2, 0, 1, 2, 3, 0, 1, 0, 0, 1, 2, 3, 4, 0, 1, 2),
  keySegments: given(1, 1, 1, 2, 2, 2, 2, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3),
  keyPositions: given(0, 1, 2, 0, 1, 2, 3, 0, 1, 0, 0, 1, 2, 3, 4, 0, 1, 2),
};

const MOST = 2 ** 20 - 1;
const atTheEdges: Places = {
  querySegments: given(-2048, -1, 0, 2047),
  queryPositions: given(MOST, 0, MOST, MOST),
  keySegments: given(-2048, -2048, -1, -1, 0, 2046, 2047, 2047),
  keyPositions: given(0, MOST, 0, MOST, 0, MOST, 0, MOST),
};

/** With a key in the window of each query. */
const seenAtTheEdges: Places = {
  ...atTheEdges,
  keyPositions: given(0, MOST, 0, MOST, MOST, MOST, 0, MOST),
};

/** Sizes of a case: rows, query heads, key heads, queries, keys, head width. */
export type Sizes = readonly [B: Size, H: number, K: number, T: Size, S: Size, E: number];

export function inputsOf([B, H, K, T, S, E]: Sizes, places: Places, dtype: DType): InputSpec[] {
  return [
    float([B, H, T, E]),
    float([B, K, S, E]),
    float([B, K, S, E]),
    { dtype, shape: [B, T], draw: places.querySegments },
    { dtype, shape: [B, T], draw: places.queryPositions },
    { dtype, shape: [B, S], draw: places.keySegments },
    { dtype, shape: [B, S], draw: places.keyPositions },
  ];
}

interface More {
  readonly dtype?: DType;
  readonly hasSinks?: boolean;
  readonly bindings?: Record<string, number>;
}

const attended = (
  name: string,
  sizes: Sizes,
  places: Places,
  attributes: Partial<AttentionAttributes> = {},
  { dtype = "int64", hasSinks = false, bindings = {} }: More = {},
): OpCase =>
  opCase(name, [...inputsOf(sizes, places, dtype), ...(hasSinks ? [float([sizes[1]])] : [])], {
    attributes: { ...PLAIN, ...attributes },
    bindings,
    tolerance: 1e-5,
  });

export const chunks = (length: number, count: number): Pick<AttentionAttributes, "chunk"> => ({
  chunk: { length, count },
});

const CASES: readonly OpCase[] = [
  attended("one chunk", [2, 4, 2, 5, 5, 3], packed(5, 5)),
  attended("a head of keys each", [1, 2, 2, 4, 4, 3], packed(4, 4)),
  attended("keys before the queries", [2, 2, 1, 5, 7, 3], packed(7, 4, 5)),
  attended("int32", [2, 2, 1, 5, 7, 3], packed(7, 4, 5), {}, { dtype: "int32" }),
  attended("packed rows", [2, 2, 1, 6, 6, 2], packed(6, 4)),
  attended("both directions", [2, 2, 1, 5, 7, 3], packed(7, 4, 5), { causal: false }),
  attended("capped", [1, 4, 2, 5, 5, 3], packed(5, 5), { softcap: 1.5 }),
  attended("a window", [1, 2, 1, 9, 9, 2], packed(9, 9), { window: 3 }),
  attended("a window across examples", [2, 2, 1, 9, 9, 2], packed(9, 4), { window: 3 }),
  attended("a window of the query alone", [1, 2, 1, 5, 5, 2], packed(5, 5), { window: 1 }),
  attended("a window wider than the row", [1, 2, 1, 5, 5, 2], packed(5, 3), { window: 2 ** 30 }),
  attended("one query after cached keys", [1, 2, 1, 1, 8, 2], packed(8, 8, 1), { window: 4 }),
  attended("the largest positions and segments", [1, 1, 1, 4, 8, 2], atTheEdges),
  attended("the largest positions, a window", [1, 1, 1, 4, 8, 2], seenAtTheEdges, { window: 5 }),
  attended("the largest positions, a wide window", [1, 1, 1, 4, 8, 2], atTheEdges, { window: 2 ** 40 }),
  attended("chunks", [2, 4, 2, 8, 8, 3], packed(8, 8), chunks(3, 3)),
  attended("chunks of packed rows", [1, 2, 1, 9, 9, 2], packed(9, 4), chunks(2, 5)),
  attended("chunks of unlike rows", [2, 2, 1, 9, 9, 2], unlikeRows, chunks(2, 5)),
  attended("chunks of unlike rows, a window", [2, 2, 1, 9, 9, 2], unlikeRows, { window: 3, ...chunks(2, 5) }),
  attended("chunks of capped scores", [1, 4, 2, 7, 7, 2], packed(7, 7), { softcap: 1.5, ...chunks(2, 4) }),
  attended("chunks with a window", [1, 4, 2, 9, 9, 2], packed(9, 9), { window: 3, ...chunks(2, 5) }),
  attended("chunks with a window of one", [1, 2, 1, 5, 5, 2], packed(5, 5), { window: 1, ...chunks(2, 3) }),
  attended("chunks with a wide window", [1, 2, 1, 7, 7, 2], packed(7, 5), { window: 5, ...chunks(3, 3) }),
  attended("chunks in both directions", [2, 2, 1, 7, 7, 2], packed(7, 4), { causal: false, ...chunks(3, 3) }),
  attended("a window to both sides", [1, 2, 1, 9, 9, 2], packed(9, 9), { causal: false, window: 3 }),
  attended("a window to both sides, across examples", [2, 2, 1, 9, 9, 2], packed(9, 4), {
    causal: false,
    window: 3,
  }),
  attended("a window to both sides of unlike rows", [2, 2, 1, 9, 9, 2], unlikeRows, {
    causal: false,
    window: 2,
  }),
  attended("both sides, the query alone", [1, 2, 1, 5, 5, 2], packed(5, 5), { causal: false, window: 1 }),
  attended("both sides, a window wider than the row", [1, 2, 1, 5, 5, 2], packed(5, 3), {
    causal: false,
    window: 2 ** 30,
  }),
  attended("the largest positions, a window to both sides", [1, 1, 1, 4, 8, 2], seenAtTheEdges, {
    causal: false,
    window: 5,
  }),
  attended("chunks with a window to both sides", [1, 4, 2, 9, 9, 2], packed(9, 9), {
    causal: false,
    window: 3,
    ...chunks(2, 5),
  }),
  attended("chunks with a window to both sides, wider than all", [1, 2, 1, 7, 7, 2], packed(7, 5), {
    causal: false,
    window: 9,
    ...chunks(3, 3),
  }),
  attended("chunks with both sides of the query alone", [1, 2, 1, 5, 5, 2], packed(5, 5), {
    causal: false,
    window: 1,
    ...chunks(2, 3),
  }),
  attended("chunks of unlike rows, a window to both sides", [2, 2, 1, 9, 9, 2], unlikeRows, {
    causal: false,
    window: 3,
    ...chunks(2, 5),
  }),
  attended(
    "symbolic chunks, a window to both sides",
    ["B", 4, 2, "T", "T", 3],
    packed(7, 5),
    {
      causal: false,
      window: 3,
      ...chunks(3, 3),
    },
    { bindings: { B: 2, T: 7 } },
  ),
  attended("chunks of halves, a window to both sides", [1, 6, 3, 9, 9, 2], packed(9, 4), {
    causal: false,
    window: 3,
    ...chunks(2, 5),
  }),
  attended("chunks of halves", [1, 6, 3, 9, 9, 2], packed(9, 4), chunks(2, 5)),
  attended("chunks of halves, capped, both directions", [2, 3, 3, 8, 8, 2], packed(8, 4), {
    causal: false,
    softcap: 1.5,
    ...chunks(2, 4),
  }),
  attended("chunks of odd numbers of queries", [1, 3, 3, 11, 11, 2], packed(11, 8), {
    window: 5,
    ...chunks(3, 4),
  }),
  attended(
    "symbolic sizes",
    ["B", 4, 2, "T", "P+T", 3],
    packed(7, 5, 3),
    {},
    { dtype: "int32", bindings: { B: 2, T: 3, P: 4 } },
  ),
  attended("symbolic chunks", ["B", 4, 2, "T", "T", 3], packed(7, 5), chunks(3, 3), {
    bindings: { B: 2, T: 7 },
  }),
  attended("sinks", [2, 4, 2, 5, 5, 3], packed(5, 3), {}, { hasSinks: true }),
  attended("sinks, keys before the queries", [2, 2, 1, 5, 7, 3], packed(7, 4, 5), {}, { hasSinks: true }),
  attended(
    "sinks in both directions",
    [1, 2, 2, 4, 4, 3],
    packed(4, 4),
    { causal: false },
    { hasSinks: true },
  ),
  attended("sinks, chunks", [2, 4, 2, 8, 8, 3], packed(8, 8), chunks(3, 3), { hasSinks: true }),
  attended(
    "sinks, chunks of unlike rows with a window",
    [2, 4, 2, 9, 9, 2],
    unlikeRows,
    { window: 3, ...chunks(2, 5) },
    { hasSinks: true },
  ),
  attended("sinks, chunks of halves", [1, 6, 3, 9, 9, 2], packed(9, 4), chunks(2, 5), { hasSinks: true }),
  attended("sinks, symbolic chunks", ["B", 4, 2, "T", "T", 3], packed(7, 5), chunks(3, 3), {
    hasSinks: true,
    bindings: { B: 2, T: 7 },
  }),
];

const REALISTIC = attended("[1, 9, 512, 64]", [1, 9, 3, 512, 512, 64], packed(512, 512), chunks(128, 4));

const SIZES: Sizes = [2, 2, 1, 3, 5, 2];
const changed = (which: number, spec: InputSpec): InputSpec[] =>
  inputsOf(SIZES, packed(5, 5, 3), "int64").map((own, i) => (i === which ? spec : own));
const vector = (shape: readonly Size[], dtype: DType = "int64"): InputSpec => ({
  dtype,
  shape,
  draw: integers(3),
});

const REJECTED = [
  reject("heads in no groups", changed(0, float([2, 3, 3, 2])).with(1, float([2, 2, 5, 2])), PLAIN),
  reject("keys of another width", changed(1, float([2, 1, 5, 3])), PLAIN),
  reject("values of other keys", changed(2, float([2, 1, 4, 2])), PLAIN),
  reject("positions of another length", changed(4, vector([2, 4])), PLAIN),
  reject("keys of another batch", changed(5, vector([1, 5])), PLAIN),
  reject("two types", changed(6, vector([2, 5], "int32")), PLAIN),
  reject("positions that are floats", changed(4, float([2, 3])), PLAIN),
  reject("sinks of other heads", [...changed(0, float([2, 2, 3, 2])), float([1])], PLAIN),
  reject("sinks beside capped scores", [...changed(0, float([2, 2, 3, 2])), float([2])], {
    ...PLAIN,
    softcap: 1.5,
  }),
  ...[
    { causal: false, window: 0 },
    { causal: true, window: 0 },
    { causal: true, window: 2.5 },
  ].map((attributes) =>
    reject(
      `a window of ${attributes.window}, causal ${attributes.causal}`,
      inputsOf(SIZES, packed(5, 5, 3), "int64"),
      {
        ...PLAIN,
        ...attributes,
      },
    ),
  ),
];

/** What the input behind places is: a bias of the scores [B or 1, H, T, S], or sinks [H]. */
function besideScores(last: Array64 | undefined): { readonly bias?: Array64; readonly sinks?: Array64 } {
  if (last === undefined) return {};
  return last.shape.length === 1 ? { sinks: last } : { bias: last };
}

/**
 * One query of one head: the weights of the keys and of a sink, if there is one, and the slopes of its capped scores. The last input
 * may be a bias of the scores, or sinks.
 */
export function weightsOf(
  [query, key, , querySegments, queryPositions, keySegments, keyPositions, last]: readonly Array64[],
  { scale, softcap, causal, window }: AttentionAttributes,
  [b, h, t]: readonly [number, number, number],
): { readonly weights: number[]; readonly slopes: number[] } {
  const [, H, , E] = query!.shape as [number, number, number, number];
  const [, K, S] = key!.shape as [number, number, number];
  const { bias, sinks } = besideScores(last);
  const place = (x: Array64 | undefined, i: number): number => at(x!, [b, i]);
  const slopes: number[] = [];
  const scores = Array.from({ length: S }, (_, s) => {
    let dot = 0;
    const k = Math.floor((h * K) / H);
    for (let e = 0; e < E; e++) dot += at(query!, [b, h, t, e]) * at(key!, [b, k, s, e]);
    const bent = softcap === null ? scale * dot : softcap * Math.tanh((scale * dot) / softcap);
    slopes.push(softcap === null ? 1 : 1 - (bent / softcap) ** 2);
    const distance = place(queryPositions, t) - place(keyPositions, s);
    const isHidden =
      place(querySegments, t) !== place(keySegments, s) ||
      (causal && distance < 0) ||
      (window !== null && Math.abs(distance) >= window);
    const score = bent + (bias ? at(bias, [b % bias.shape[0]!, h, t, s]) : 0);
    return isHidden ? score - 1e9 : score;
  });
  if (sinks) scores.push(at(sinks, [h]));
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return { weights: exponentials.map((value) => value / total), slopes };
}

/** Attention, [B, T, H·E]. */
export const attentionReference: OpSuite["reference"] = (inputs, attributes) => {
  const [query, , value] = inputs as [Array64, Array64, Array64];
  const [B, H, T, E] = query.shape as [number, number, number, number];
  const K = value.shape[1]!;
  const rows = new Map<string, number[]>();
  return [
    build([B, T, H * E], ([b = 0, t = 0, column = 0]) => {
      const [h, e] = [Math.floor(column / E), column % E];
      const key = `${b} ${h} ${t}`;
      const own = rows.get(key) ?? weightsOf(inputs, attributes as AttentionAttributes, [b, h, t]).weights;
      rows.set(key, own);
      return own
        .slice(0, value.shape[2])
        .reduce((sum, weight, s) => sum + weight * at(value, [b, Math.floor((h * K) / H), s, e]), 0);
    }),
  ];
};

export const attentionSuite: OpSuite = {
  op: "attention",
  reference: attentionReference,
  differentiable: (input) => input < 3 || input === 7,
  cases: CASES,
  rejected: REJECTED,
  realistic: REALISTIC,
};

/** The case for the gradient, which takes the output and its gradient before the inputs. */
export function withGradient({ inputs, ...testCase }: OpCase): OpCase {
  const [B, H, T, E] = inputs[0]!.shape as [Size, number, Size, number];
  return { ...testCase, inputs: [float([B, T, H * E]), float([B, T, H * E]), ...inputs], seeded: [] };
}

/** The gradients of queries, keys and values, and of a bias, or of sinks, if there are some. */
export const attentionGradientReference: OpSuite["reference"] = (
  [output, gradient, ...inputs],
  attributes,
) => {
  const { scale } = attributes as AttentionAttributes;
  const [query, key, value] = inputs as [Array64, Array64, Array64];
  const [B, H, T, E] = query.shape as [number, number, number, number];
  const [, K, S] = key.shape as [number, number, number];
  const [dQuery, dKey, dValue] = [query, key, value].map(({ shape }) => build(shape, () => 0)) as [
    Array64,
    Array64,
    Array64,
  ];
  const { bias, sinks } = besideScores(inputs[7]);
  const dBias = bias && build([B, H, T, S], () => 0);
  const dSinks = sinks && build([H], () => 0);
  const grow = (x: Array64, index: readonly number[], change: number): void =>
    put(x, index, at(x, index) + change);
  const axis = Array.from({ length: E }, (_, e) => e);
  build([B, H, T], ([b = 0, h = 0, t = 0]) => {
    const k = Math.floor((h * K) / H);
    const { weights, slopes } = weightsOf(inputs, attributes as AttentionAttributes, [b, h, t]);
    const flow = (e: number): number => at(gradient!, [b, t, h * E + e]);
    const mean = axis.reduce((sum, e) => sum + flow(e) * at(output!, [b, t, h * E + e]), 0);
    for (let s = 0; s < S; s++) {
      const weight = weights[s]!;
      const own = axis.reduce((sum, e) => sum + flow(e) * at(value, [b, k, s, e]), 0);
      const dBent = weight * (own - mean);
      const dScore = scale * dBent * slopes[s]!;
      if (dBias) put(dBias, [b, h, t, s], dBent);
      for (const e of axis) {
        grow(dQuery, [b, h, t, e], dScore * at(key, [b, k, s, e]));
        grow(dKey, [b, k, s, e], dScore * at(query, [b, h, t, e]));
        grow(dValue, [b, k, s, e], weight * flow(e));
      }
    }
    if (dSinks) grow(dSinks, [h], -weights[S]! * mean);
    return 0;
  });
  return [dQuery, dKey, dValue, dBias, dSinks].filter((one) => one !== undefined);
};

export const attentionGradientSuite: OpSuite = {
  op: "attentionGradient",
  reference: attentionGradientReference,
  differentiable: () => false,
  cases: CASES.map(withGradient),
  rejected: [
    reject(
      "a gradient of another width",
      [float([2, 3, 4]), float([2, 3, 5]), ...inputsOf(SIZES, packed(5, 5, 3), "int64")],
      PLAIN,
    ),
  ],
  realistic: withGradient(REALISTIC),
};
