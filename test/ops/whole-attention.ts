/** @file Cases of attention without chunks; its reference is that of attention, on heads that lie behind one another. */
import type { WholeAttentionAttributes } from "../../src/graph/ops/attention/whole-attention.ts";
import { type Array64, at, build } from "./array64.ts";
import { type Sizes, packed, weightsOf } from "./attention.ts";
import { type InputSpec, type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

const PLAIN = { scale: 0.5, causal: true, window: null } as const;

const inputsOf = ([B, H, K, T, S, E]: Sizes, places: ReturnType<typeof packed>): InputSpec[] => [
  float([B, T, H * E]),
  float([B, S, K * E]),
  float([B, S, K * E]),
  { dtype: "int64", shape: [B, T], draw: places.querySegments },
  { dtype: "int64", shape: [B, T], draw: places.queryPositions },
  { dtype: "int64", shape: [B, S], draw: places.keySegments },
  { dtype: "int64", shape: [B, S], draw: places.keyPositions },
];

const attended = (
  name: string,
  sizes: Sizes,
  places: ReturnType<typeof packed>,
  attributes: Partial<WholeAttentionAttributes> = {},
  bindings: Record<string, number> = {},
): OpCase =>
  opCase(name, inputsOf(sizes, places), {
    attributes: { numHeads: sizes[1], numKeyValueHeads: sizes[2], ...PLAIN, ...attributes },
    bindings,
    tolerance: 1e-5,
  });

/** [B, T, H·E] as [B, H, T, E]. */
function byHead(x: Array64, numHeads: number): Array64 {
  const [B, T, width] = x.shape as [number, number, number];
  const E = width / numHeads;
  return build([B, numHeads, T, E], ([b, h, t, e]) => at(x, [b!, t!, h! * E + e!]));
}

const HEADS = { numHeads: 2, numKeyValueHeads: 1 };
const SIZES: Sizes = [2, 2, 1, 3, 5, 2];
const REJECTED = [
  { name: "heads that do not fill the width", attributes: { ...PLAIN, ...HEADS, numHeads: 3 } },
  { name: "heads in no groups", attributes: { ...PLAIN, ...HEADS, numKeyValueHeads: 4 } },
  { name: "a window of 0", attributes: { ...PLAIN, ...HEADS, window: 0 } },
  { name: "a window of 0 in both directions", attributes: { ...PLAIN, ...HEADS, causal: false, window: 0 } },
].map(({ name, attributes }) => reject(name, inputsOf(SIZES, packed(5, 5, 3)), attributes));

export const wholeAttentionSuite: OpSuite = {
  op: "wholeAttention",
  reference: (inputs, attributes) => {
    const { numHeads, numKeyValueHeads, ...seen } = attributes as WholeAttentionAttributes;
    const [query, key, value, ...places] = inputs as [Array64, Array64, Array64, ...Array64[]];
    const heads = [byHead(query, numHeads), byHead(key, numKeyValueHeads), byHead(value, numKeyValueHeads)];
    const [B, T, width] = query.shape as [number, number, number];
    const E = width / numHeads;
    return [
      build([B, T, width], ([b = 0, t = 0, place = 0]) => {
        const h = Math.floor(place / E);
        const k = Math.floor((h * numKeyValueHeads) / numHeads);
        const options = { ...seen, softcap: null, chunk: { length: 1, count: 1 } };
        const { weights } = weightsOf([...heads, ...places], options, [b, h, t]);
        return weights.reduce((sum, weight, s) => sum + weight * at(heads[2]!, [b, k, s, place % E]), 0);
      }),
    ];
  },
  differentiable: () => false,
  cases: [
    attended("a head of keys for two of queries", [2, 4, 2, 5, 5, 3], packed(5, 5)),
    attended("a head of keys each", [1, 2, 2, 4, 4, 3], packed(4, 4)),
    attended("one query after cached keys", [1, 2, 1, 1, 8, 2], packed(8, 8, 1)),
    attended("keys before the queries, packed", [2, 2, 1, 5, 7, 3], packed(7, 4, 5)),
    attended("both directions", [2, 2, 1, 5, 7, 3], packed(7, 4, 5), { causal: false }),
    attended("a window", [1, 2, 1, 9, 9, 2], packed(9, 9), { window: 3 }),
    attended("a window to both sides", [1, 2, 1, 9, 9, 2], packed(9, 9), { causal: false, window: 3 }),
    attended("symbolic sizes", ["B", 4, 2, "T", "P+T", 3], packed(7, 5, 3), {}, { B: 2, T: 3, P: 4 }),
  ],
  rejected: [
    ...REJECTED,
    reject("values of other keys", inputsOf(SIZES, packed(5, 5, 3)).with(2, float([2, 4, 2])), {
      ...PLAIN,
      ...HEADS,
    }),
  ],
  realistic: attended("[16, 1, 576] over 256 keys", [16, 9, 3, 1, 256, 64], packed(256, 256, 1)),
};
