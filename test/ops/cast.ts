/** @file Reference and cases of cast. Rounding to float16 is left to the tolerance: the reference keeps float64. */
import type { DType } from "../../src/graph/dtype.ts";
import { map } from "./array64.ts";
import {
  type InputSpec,
  type OpCase,
  type OpSuite,
  float,
  given,
  int64,
  integers,
  opCase,
} from "./op-suite.ts";

const converted = (name: string, input: InputSpec, dtype: DType, more: Partial<OpCase> = {}): OpCase =>
  opCase(name, [input], { attributes: { dtype }, tolerance: 0, ...more });

export const castSuite: OpSuite = {
  op: "cast",
  reference: ([x], attributes) => {
    const dtype = attributes["dtype"] as DType;
    if (dtype === "bool") return [map(x!, (v) => (v === 0 ? 0 : 1))];
    return [dtype.includes("float") ? x! : map(x!, Math.trunc)];
  },
  differentiable: () => true,
  cases: [
    converted("float32 to float16", float([3, 4]), "float16", { tolerance: 1e-3 }),
    converted("float16 to float32", { dtype: "float16", shape: [3, 4], draw: integers(100) }, "float32", {
      tolerance: 1e-3,
    }),
    converted("int64 to float32", int64([2, 3], integers(1000)), "float32"),
    converted("uint8 to float32", { dtype: "uint8", shape: [5], draw: integers(256) }, "float32"),
    converted("float32 to int64", float([4], given(-2.5, -0.5, 0.5, 7.9)), "int64", { smooth: false }),
    converted("int64 to bool", int64([3], given(0, 1, 5)), "bool"),
    converted("symbolic sizes", float(["B", 3]), "float16", { bindings: { B: 2 }, tolerance: 1e-3 }),
    converted("no elements", float(["B", 3]), "float16", { bindings: { B: 0 } }),
  ],
  rejected: [],
  realistic: converted(
    "[1536, 576] codes",
    { dtype: "uint8", shape: [1536, 576], draw: integers(256) },
    "float32",
  ),
};
