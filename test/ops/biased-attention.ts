/** @file Cases of attention with a bias of the scores, and of its gradient; the references are those of attention. */
import type { AttentionAttributes } from "../../src/graph/ops/attention/attention-values.ts";
import {
  PLAIN,
  type Size,
  type Sizes,
  attentionGradientReference,
  attentionReference,
  chunks,
  inputsOf,
  packed,
  withGradient,
} from "./attention.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

const BOTH_SIDES: AttentionAttributes = { ...PLAIN, causal: false };

const biased = (
  name: string,
  sizes: Sizes,
  perSegment: number,
  {
    rows = sizes[0],
    bindings = {},
    ...attributes
  }: Partial<AttentionAttributes> & { rows?: Size; bindings?: Record<string, number> } = {},
): OpCase => {
  const [, H, , T, S] = sizes;
  const places = packed(bindings["T"] ?? (T as number), perSegment);
  return opCase(name, [...inputsOf(sizes, places, "int64"), float([rows, H, T, S])], {
    attributes: { ...BOTH_SIDES, ...attributes },
    bindings,
    tolerance: 1e-5,
  });
};

const CASES: readonly OpCase[] = [
  biased("one chunk", [2, 4, 2, 5, 5, 3], 5),
  biased("packed rows", [2, 2, 2, 6, 6, 2], 4),
  biased("a bias of all rows", [2, 2, 1, 5, 5, 2], 3, { rows: 1 }),
  biased("chunks", [2, 4, 2, 8, 8, 3], 8, chunks(3, 3)),
  biased("chunks of packed rows", [1, 2, 1, 9, 9, 2], 4, chunks(2, 5)),
  biased("chunks, a bias of all rows", [2, 2, 2, 7, 7, 2], 4, { rows: 1, ...chunks(3, 3) }),
  biased("chunks of halves", [2, 3, 3, 8, 8, 2], 4, chunks(2, 4)),
  biased("symbolic chunks", ["B", 4, 2, "T", "T", 3], 5, { bindings: { B: 2, T: 7 }, ...chunks(3, 3) }),
];

const REALISTIC = biased("[1, 12, 256, 64]", [1, 12, 12, 256, 256, 64], 256, chunks(64, 4));
const SIZES: Sizes = [2, 2, 1, 3, 3, 2];
const INPUTS = inputsOf(SIZES, packed(3, 3), "int64");
const BIAS = float([2, 2, 3, 3]);

export const biasedAttentionSuite: OpSuite = {
  op: "biasedAttention",
  reference: attentionReference,
  differentiable: (input) => input < 3 || input === 7,
  cases: CASES,
  rejected: [
    reject("a bias of other keys", [...INPUTS, float([2, 2, 3, 4])], BOTH_SIDES),
    reject("a bias of other rows", [...INPUTS, float([3, 2, 3, 3])], BOTH_SIDES),
    reject("keys that are hidden", [...INPUTS, BIAS], PLAIN),
    reject("a window", [...INPUTS, BIAS], { ...BOTH_SIDES, window: 2 }),
    reject("capped scores", [...INPUTS, BIAS], { ...BOTH_SIDES, softcap: 2 }),
  ],
  realistic: REALISTIC,
};

export const biasedAttentionGradientSuite: OpSuite = {
  op: "biasedAttentionGradient",
  reference: attentionGradientReference,
  differentiable: () => false,
  cases: CASES.map(withGradient),
  rejected: [
    reject("a gradient of another width", [float([2, 3, 4]), float([2, 3, 5]), ...INPUTS, BIAS], BOTH_SIDES),
    reject(
      "a bias of other keys",
      [float([2, 3, 4]), float([2, 3, 4]), ...INPUTS, float([2, 2, 3, 4])],
      BOTH_SIDES,
    ),
  ],
  realistic: withGradient(REALISTIC),
};
