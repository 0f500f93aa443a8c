/** @file Cases of attention over heads that are extended in place; its reference is that of attention, on turned heads. */
import type { CachedAttentionAttributes } from "../../src/graph/ops/attention/cached-attention.ts";
import { type Array64, at, build } from "./array64.ts";
import { type Size, weightsOf } from "./attention.ts";
import { type InputSpec, type OpCase, type OpSuite, float, given, opCase, reject } from "./op-suite.ts";

type Attributes = CachedAttentionAttributes & { readonly isJoined: boolean; readonly hasSinks?: boolean };

/** Rows, heads of queries and of keys, queries, keys. */
type Sizes = readonly [B: Size, H: number, K: number, T: Size, S: Size];
const E = 16;

const attributesOf = ([, H, K]: Sizes, more: Partial<Attributes> = {}): Attributes => ({
  numHeads: H,
  numKeyValueHeads: K,
  headWidth: E,
  scale: 0.3,
  softcap: null,
  window: null,
  isJoined: false,
  ...more,
});

/** `numKeys`: S as a number. */
function inputsOf(
  [B, H, K, T, S]: Sizes,
  numKeys: number,
  isTurned: boolean,
  { isJoined = false, hasSinks = false }: Partial<Attributes> = {},
): InputSpec[] {
  const projected = isJoined ? [(H + 2 * K) * E] : [H * E, K * E, K * E];
  const angle = (place: number): number => Math.floor(place / (E / 2)) / 3 ** (place % (E / 2));
  const table = (f: (angle: number) => number): InputSpec => ({
    dtype: "float32",
    shape: [numKeys, E / 2],
    draw: (_random, place) => f(angle(place)),
  });
  return [
    ...projected.map((width) => float([B, T, width])),
    float([B, K, S, E]),
    float([B, K, S, E]),
    { dtype: "int32", shape: [B], draw: given(numKeys - 1) },
    { dtype: "int32", shape: [1], draw: given(numKeys) },
    ...(hasSinks ? [float([H])] : []),
    ...(isTurned ? [table(Math.cos), table(Math.sin)] : []),
  ];
}

interface More {
  readonly isTurned?: boolean;
  readonly attributes?: Partial<Attributes>;
  readonly bindings?: Record<string, number>;
}

function attended(name: string, sizes: Sizes, numKeys: number, more: More = {}): OpCase {
  const { isTurned = true, bindings = {} } = more;
  const attributes = attributesOf(sizes, more.attributes);
  const inputs = inputsOf(sizes, numKeys, isTurned, attributes);
  return opCase(name, inputs, { attributes, bindings, tolerance: 1e-5 });
}

/** Heads `from` on of [B, T, …·E] as [B, n, T, E]. */
function heads(x: Array64, from: number, n: number): Array64 {
  const [B, T] = x.shape as [number, number];
  return build([B, n, T, E], ([b = 0, h = 0, t = 0, e = 0]) => at(x, [b, t, (from + h) * E + e]));
}

/** [B, n, T, E] turned by the angles of positions from `start` on. */
function turned(
  x: Array64,
  start: number,
  [cos, sin]: readonly Array64[],
  neighbours: boolean | undefined,
): Array64 {
  if (!cos || !sin) return x;
  const half = E / 2;
  return build(x.shape, ([b = 0, h = 0, t = 0, e = 0]) => {
    const i = neighbours ? Math.floor(e / 2) : e % half;
    const [c, s] = [at(cos, [start + t, i]), at(sin, [start + t, i])];
    const pair = neighbours ? [2 * i, 2 * i + 1] : [i, half + i];
    const [first, second] = pair.map((place) => at(x, [b, h, t, place])) as [number, number];
    return e === pair[0] ? first * c - second * s : second * c + first * s;
  });
}

const SIZES: Sizes = [1, 2, 1, 3, 5];

export const cachedAttentionSuite: OpSuite = {
  op: "cachedAttention",
  reference: (inputs, attributes) => {
    const {
      numHeads: H,
      numKeyValueHeads: K,
      scale,
      softcap,
      window,
      isJoined,
      neighbours,
      hasSinks = false,
    } = attributes as Attributes;
    const [first] = inputs as [Array64];
    const apart = isJoined ? [first, first, first] : inputs.slice(0, 3);
    const starts = isJoined ? [0, H, H + K] : [0, 0, 0];
    const [q, k, v] = apart.map((x, i) => heads(x, starts[i]!, i === 0 ? H : K));
    const [keys, values, lastKey, , ...rest] = inputs.slice(isJoined ? 1 : 3);
    const [sinks, tables] = hasSinks ? [rest.slice(0, 1), rest.slice(1)] : [[], rest];
    const [B, , T] = q!.shape as [number, number, number];
    const S = 1 + lastKey!.data[0]!;
    const past = S - T;
    const extended = (cached: Array64, fresh: Array64): Array64 =>
      build(cached.shape, ([b = 0, h = 0, s = 0, e = 0]) =>
        s < past ? at(cached, [b, h, s, e]) : at(fresh, [b, h, s - past, e]),
      );
    const query = turned(q!, past, tables, neighbours);
    const allKeys = extended(keys!, turned(k!, past, tables, neighbours));
    const allValues = extended(values!, v!);
    const ramp = (from: number, n: number): Array64 => build([B, n], ([, i = 0]) => from + i);
    const ones = (n: number): Array64 => build([B, n], () => 1);
    const places = [ones(T), ramp(past, T), ones(S), ramp(0, S)];
    const options = { scale, softcap, window, causal: true, chunk: { length: 1, count: 1 } };
    const output = build([B, T, H * E], ([b = 0, t = 0, place = 0]) => {
      const h = Math.floor(place / E);
      const group = Math.floor((h * K) / H);
      const { weights } = weightsOf([query, allKeys, allValues, ...places, ...sinks], options, [b, h, t]);
      return weights
        .slice(0, S)
        .reduce((sum, weight, s) => sum + weight * at(allValues, [b, group, s, place % E]), 0);
    });
    return [output, allKeys, allValues];
  },
  differentiable: () => false,
  cases: [
    attended("one token after others", [1, 4, 2, 1, 7], 7),
    attended("a head of keys each, not turned", [1, 2, 2, 1, 4], 4, { isTurned: false }),
    attended("tokens without others before them", [1, 2, 1, 6, 6], 6),
    attended("some tokens after others", [1, 4, 2, 3, 9], 9),
    attended("neighbours turned", [1, 4, 2, 3, 9], 9, { attributes: { neighbours: true } }),
    attended("neighbours turned, of one projection", [1, 4, 2, 2, 6], 6, {
      attributes: { isJoined: true, neighbours: true },
    }),
    attended("of one projection", [1, 4, 2, 2, 6], 6, { attributes: { isJoined: true } }),
    attended("a window", [1, 2, 1, 4, 9], 9, { attributes: { window: 3 } }),
    attended("capped scores", [1, 2, 1, 2, 6], 6, { attributes: { softcap: 0.5 } }),
    attended("sinks", [1, 4, 2, 3, 9], 9, { attributes: { hasSinks: true } }),
    attended("sinks, one token, a window", [1, 4, 2, 1, 9], 9, { attributes: { hasSinks: true, window: 3 } }),
    attended("sinks, a window", [1, 4, 2, 5, 9], 9, { attributes: { hasSinks: true, window: 3 } }),
    attended("sinks, not turned", [1, 2, 2, 4, 4], 4, { isTurned: false, attributes: { hasSinks: true } }),
    attended("sinks, of one projection", [1, 4, 2, 2, 6], 6, {
      attributes: { hasSinks: true, isJoined: true },
    }),
    attended("symbolic sizes", ["B", 4, 2, "T", "C"], 7, { bindings: { B: 1, T: 3, C: 7 } }),
  ],
  rejected: [
    reject("heads that do not fill the width", inputsOf(SIZES, 5, true), attributesOf([1, 3, 1, 3, 5])),
    reject("heads in no groups", inputsOf(SIZES, 5, true), attributesOf([1, 2, 4, 3, 5])),
    reject(
      "values of another room",
      inputsOf(SIZES, 5, true).with(4, float([1, 1, 4, E])),
      attributesOf(SIZES),
    ),
    reject("sinks of other heads", inputsOf(SIZES, 5, true).toSpliced(7, 0, float([1])), {
      ...attributesOf(SIZES),
      hasSinks: true,
    }),
    reject("one table", inputsOf(SIZES, 5, true).slice(0, -1), attributesOf(SIZES)),
    reject("tables of whole heads", inputsOf(SIZES, 5, true).with(7, float([5, E])), attributesOf(SIZES)),
    reject("a last key of another type", inputsOf(SIZES, 5, true).with(5, float([1])), attributesOf(SIZES)),
  ],
  realistic: attended("[1, 1, 576] over 256 keys", [1, 9, 3, 1, 256], 256),
};
