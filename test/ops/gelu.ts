/** @file References and cases of erf and gelu. */
import { map } from "./array64.ts";
import { type Draw, type OpCase, type OpSuite, float, given, normal, opCase } from "./op-suite.ts";

/** The error function to about 1e-15: its series near zero, the continued fraction of its complement farther out. */
function erf64(x: number): number {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    // 2/√π e^(-x²) Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)): all terms have one sign.
    let [term, sum] = [x, x];
    for (let n = 1; n < 80; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = size;
  for (let n = 120; n >= 1; n--) fraction = size + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-x * x) / (fraction * Math.sqrt(Math.PI)));
}

function casesOf(draw: Draw, attributes: Readonly<Record<string, string>>, name = ""): OpCase[] {
  return [
    opCase(`${name}matrix`, [float([4, 7], draw)], { attributes }),
    opCase(`${name}scalar`, [float([], draw)], { attributes }),
    opCase(`${name}symbolic sizes`, [float(["B", "T", 3], draw)], {
      attributes,
      bindings: { B: 2, T: 5 },
    }),
    opCase(`${name}no elements`, [float(["B", 3], draw)], { attributes, bindings: { B: 0 } }),
    opCase(`${name}saturated`, [float([9], given(-90, -20, -5, -2, 0, 2, 5, 20, 90))], { attributes }),
  ];
}

export const erfSuite: OpSuite = {
  op: "erf",
  reference: ([x]) => [map(x!, erf64)],
  differentiable: () => true,
  cases: casesOf(normal(), {}),
  rejected: [],
  realistic: opCase("[1024, 3072]", [float([1024, 3072])]),
};

const REFERENCES: Readonly<Record<string, (x: number) => number>> = {
  none: (x) => (x * (1 + erf64(x * Math.SQRT1_2))) / 2,
  tanh: (x) => (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2,
};

export const geluSuite: OpSuite = {
  op: "gelu",
  reference: ([x], attributes) => {
    const reference = REFERENCES[attributes["approximate"] as string] as (value: number) => number;
    return [map(x!, reference)];
  },
  differentiable: () => true,
  cases: Object.keys(REFERENCES).flatMap((approximate) =>
    casesOf(normal(2), { approximate }, `${approximate}: `),
  ),
  rejected: [],
  realistic: opCase("[1024, 3072]", [float([1024, 3072], normal(2))], {
    attributes: { approximate: "none" },
  }),
};
