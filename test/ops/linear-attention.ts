/** @file References and cases of linear attention, one token after another with its whole state, and of its gradient. */
import { type Array64, at, build } from "./array64.ts";
import {
  type Draw,
  type InputSpec,
  type OpCase,
  type OpSuite,
  float,
  normal,
  opCase,
  reject,
  uniform,
} from "./op-suite.ts";

/** Rows, tokens, heads, widths of keys and of values. */
type Sizes = readonly [B: number | string, T: number | string, H: number, D: number, W: number];

/** Every third token begins anew. */
const resets: Draw = (random, place) => (Math.floor(place / 2) % 3 === 0 ? -1e4 : -random.uniform());

function inputsOf([B, T, H, D, W]: Sizes, decay: Draw, hasRates: boolean): InputSpec[] {
  const wide = (width: number, scale: number): InputSpec => float([B, T, H * width], normal(scale));
  const rates = hasRates ? [float([B, T, H], uniform(0, 1))] : [];
  return [wide(D, D ** -0.5), wide(D, D ** -0.5), wide(W, 1), float([B, T, H], decay), ...rates];
}

interface More {
  readonly decay?: Draw;
  readonly bindings?: Record<string, number>;
  /** Whether tokens correct what their keys find; default: they do. */
  readonly hasRates?: boolean;
  /** Of the tensors that stand before the values. */
  readonly first?: readonly InputSpec[];
}

const ruled = (
  name: string,
  sizes: Sizes,
  { decay = uniform(-2, 0), bindings = {}, hasRates = true, first = [] }: More = {},
): OpCase =>
  opCase(name, [...first, ...inputsOf(sizes, decay, hasRates)], {
    bindings,
    tolerance: 1e-5,
    smooth: decay !== resets,
    seeded: [0],
  });

/** What one head of one row knows and asks, token by token. */
interface Head {
  readonly T: number;
  readonly q: number[][];
  readonly k: number[][];
  readonly v: number[][];
  readonly a: number[];
  /** Null: values are added as they are. */
  readonly b: number[] | null;
}

function headOf(inputs: readonly Array64[], row: number, head: number): Head {
  const [q, k, v, g, b] = inputs as [Array64, Array64, Array64, Array64, Array64?];
  const [, T, H] = g.shape as [number, number, number];
  const rows = (x: Array64): number[][] => {
    const width = x.shape[2]! / H;
    return Array.from({ length: T }, (_, t) =>
      Array.from({ length: width }, (_, i) => at(x, [row, t, head * width + i])),
    );
  };
  const each = (x: Array64): number[] => Array.from({ length: T }, (_, t) => at(x, [row, t, head]));
  return { T, q: rows(q), k: rows(k), v: rows(v), a: each(g).map(Math.exp), b: b ? each(b) : null };
}

const zeros = (rows: number, columns: number): number[][] =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, () => 0));
const dot = (x: readonly number[], y: readonly number[]): number =>
  x.reduce((sum, one, i) => sum + one * y[i]!, 0);
/** Sᵀ x and S y. */
const readBy = (S: number[][], x: readonly number[]): number[] =>
  S[0]!.map((_, j) =>
    dot(
      x,
      S.map((row) => row[j]!),
    ),
  );
const times = (S: number[][], y: readonly number[]): number[] => S.map((row) => dot(row, y));

/** The states S₀ … S_T, and what keys found before their tokens corrected it. */
function run({ T, k, v, a, b }: Head, first: number[][]): { S: number[][][]; y: number[][]; u: number[][] } {
  const [S, y, u]: [number[][][], number[][], number[][]] = [[first], [], []];
  for (let t = 0; t < T; t++) {
    const kept = S[t]!.map((row) => row.map((one) => a[t]! * one));
    y.push(readBy(kept, k[t]!));
    u.push(b ? v[t]!.map((one, j) => b[t]! * (one - y[t]![j]!)) : v[t]!);
    S.push(kept.map((row, i) => row.map((one, j) => one + k[t]![i]! * u[t]![j]!)));
  }
  return { S, y, u };
}

/** Outputs for all rows and heads, from what `of` makes of each: [B, T, H·width]. */
function gather(
  inputs: readonly Array64[],
  width: number,
  of: (head: Head, row: number, index: number) => number[][],
): Array64 {
  const [B, T, H] = inputs[3]!.shape as [number, number, number];
  const made = new Map<string, number[][]>();
  return build([B, T, H * width], ([row = 0, t = 0, place = 0]) => {
    const index = Math.floor(place / width);
    const key = `${row} ${index}`;
    const values = made.get(key) ?? of(headOf(inputs, row, index), row, index);
    made.set(key, values);
    return values[t]![place % width]!;
  });
}

const widths = (inputs: readonly Array64[]): [number, number] => {
  const H = inputs[3]!.shape[2]!;
  return [inputs[1]!.shape[2]! / H, inputs[2]!.shape[2]! / H];
};

export const linearAttentionSuite: OpSuite = {
  op: "linearAttention",
  reference: (inputs) => {
    const [D, W] = widths(inputs);
    const readAll = (head: Head): number[][] => {
      const { S } = run(head, zeros(D, W));
      return head.q.map((q, t) => readBy(S[t + 1]!, q));
    };
    return [gather(inputs, W, readAll)];
  },
  differentiable: () => true,
  cases: [
    ruled("one token", [1, 1, 1, 3, 2]),
    ruled("tokens of a head", [1, 5, 1, 3, 2]),
    ruled("rows and heads", [2, 4, 2, 2, 3]),
    ruled("symbolic sizes", ["B", "T", 2, 4, 4], { bindings: { B: 2, T: 6 } }),
    ruled("examples that begin anew", [2, 6, 2, 3, 2], { decay: resets }),
    ruled("nothing is forgotten", [1, 6, 1, 3, 2], { decay: () => 0 }),
    ruled("values that are added", [2, 6, 2, 3, 2], { hasRates: false }),
    ruled("values that are added, examples that begin anew", [2, 6, 2, 3, 2], {
      decay: resets,
      hasRates: false,
    }),
    ruled("many tokens", [1, 24, 1, 3, 3], { decay: uniform(-0.1, 0) }),
  ],
  rejected: [
    reject("keys of another width", [
      float([1, 2, 4]),
      float([1, 2, 6]),
      float([1, 2, 4]),
      float([1, 2, 2]),
      float([1, 2, 2]),
    ]),
    reject("rates of other heads", [
      float([1, 2, 4]),
      float([1, 2, 4]),
      float([1, 2, 4]),
      float([1, 2, 2]),
      float([1, 2, 1]),
    ]),
    reject("heads that do not divide", [
      float([1, 2, 4]),
      float([1, 2, 4]),
      float([1, 2, 4]),
      float([1, 2, 3]),
      float([1, 2, 3]),
    ]),
  ],
  realistic: ruled("[4, 256, 16·128]", [4, 256, 16, 128, 128]),
};

/** The gradients of q, k, v, g and b by going back through the states. */
function gradients(head: Head, dO: number[][], [D, W]: readonly [number, number]): number[][][] {
  const { T, q, k, v, a, b } = head;
  const { S, y, u } = run(head, zeros(D, W));
  const [dq, dk, dv, dg, db] = [zeros(T, D), zeros(T, D), zeros(T, W), zeros(T, 1), zeros(T, 1)];
  let R = zeros(D, W);
  for (let t = T - 1; t >= 0; t--) {
    dq[t] = times(S[t + 1]!, dO[t]!);
    R = R.map((row, i) => row.map((one, j) => one + q[t]![i]! * dO[t]![j]!));
    const du = readBy(R, k[t]!);
    const kept = S[t]!.map((row) => row.map((one) => a[t]! * one));
    const back = times(kept, du);
    const rate = b ? b[t]! : 0;
    dk[t] = times(R, u[t]!).map((one, i) => one - rate * back[i]!);
    dv[t] = b ? du.map((one) => rate * one) : du;
    db[t] = [
      dot(
        du,
        v[t]!.map((one, j) => one - y[t]![j]!),
      ),
    ];
    // What flows into the state that was kept.
    R = R.map((row, i) => row.map((one, j) => one - rate * k[t]![i]! * du[j]!));
    dg[t] = [R.reduce((sum, row, i) => sum + dot(row, kept[i]!), 0)];
    R = R.map((row) => row.map((one) => a[t]! * one));
  }
  return b ? [dq, dk, dv, dg, db] : [dq, dk, dv, dg];
}

const withGradient = (name: string, sizes: Sizes, more: More = {}): OpCase => {
  const [B, T, H, , W] = sizes;
  return ruled(name, sizes, { ...more, first: [float([B, T, H * W])] });
};

export const linearAttentionGradientSuite: OpSuite = {
  op: "linearAttentionGradient",
  reference: (inputs) => {
    const [flowing, ...values] = inputs as [Array64, ...Array64[]];
    const [D, W] = widths(values);
    return [D, D, W, 1, 1].slice(0, values.length).map((width, which) =>
      gather(values, width, (head, row, index) => {
        const dO = Array.from({ length: head.T }, (_, t) =>
          Array.from({ length: W }, (_, j) => at(flowing, [row, t, index * W + j])),
        );
        return gradients(head, dO, [D, W])[which]!;
      }),
    );
  },
  differentiable: () => false,
  cases: [
    withGradient("one token", [1, 1, 1, 3, 2]),
    withGradient("rows and heads", [2, 5, 2, 2, 3]),
    withGradient("symbolic sizes", ["B", "T", 2, 4, 4], { bindings: { B: 2, T: 6 } }),
    withGradient("examples that begin anew", [2, 6, 2, 3, 2], { decay: resets }),
    withGradient("values that are added", [2, 5, 2, 2, 3], { hasRates: false }),
    withGradient("values that are added, examples that begin anew", [2, 6, 2, 3, 2], {
      decay: resets,
      hasRates: false,
    }),
    withGradient("many tokens", [1, 40, 2, 4, 4], { decay: uniform(-0.1, 0) }),
    withGradient("chunks of tokens, parts of heads", [2, 135, 5, 3, 2], { decay: uniform(-0.1, 0) }),
    withGradient("chunks of values that are added", [2, 135, 5, 3, 2], {
      decay: uniform(-0.1, 0),
      hasRates: false,
    }),
    withGradient("chunks with examples that begin anew", [1, 65, 2, 3, 2], { decay: resets }),
  ],
  rejected: [
    reject(
      "a gradient of another width",
      [6, 4, 4, 4, 2, 2].map((width) => float([1, 2, width])),
    ),
  ],
  realistic: withGradient("[4, 256, 16·128]", [4, 256, 16, 128, 128]),
};

const after = (name: string, sizes: Sizes, more: More = {}): OpCase => {
  const [B, , H, D, W] = sizes;
  return { ...ruled(name, sizes, { ...more, first: [float([B, H, D, W])] }), seeded: [] };
};

export const cachedLinearAttentionSuite: OpSuite = {
  op: "cachedLinearAttention",
  reference: (inputs) => {
    const [state, ...values] = inputs as [Array64, ...Array64[]];
    const [D, W] = widths(values);
    const firstOf = (row: number, head: number): number[][] =>
      Array.from({ length: D }, (_, i) => Array.from({ length: W }, (_, j) => at(state, [row, head, i, j])));
    const last = build(state.shape, ([row = 0, head = 0, i = 0, j = 0]) => {
      const { S } = run(headOf(values, row, head), firstOf(row, head));
      return S.at(-1)![i]![j]!;
    });
    const read = gather(values, W, (head, row, index) => {
      const { S } = run(head, firstOf(row, index));
      return head.q.map((q, t) => readBy(S[t + 1]!, q));
    });
    return [read, last];
  },
  differentiable: () => false,
  cases: [
    after("one token", [2, 1, 2, 3, 2]),
    after("several tokens", [1, 4, 2, 3, 2]),
    after("symbolic sizes", ["B", "T", 2, 4, 4], { bindings: { B: 2, T: 3 } }),
    after("values that are added", [2, 3, 2, 3, 2], { hasRates: false }),
  ],
  rejected: [
    reject("a state of other widths", [
      float([1, 2, 2, 3]),
      ...[4, 4, 4, 2, 2].map((width) => float([1, 2, width])),
    ]),
  ],
  realistic: after("[16, 1, 16·128]", [16, 1, 16, 128, 128]),
};
