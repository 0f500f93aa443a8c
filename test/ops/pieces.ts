/** @file References and cases of slice, split, padLike and concat: taking pieces out of an axis and putting them back. */
import { evaluateShape } from "../../src/graph/shape.ts";
import { at, build } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

type Shape = readonly (number | string)[];
type Numbers = Record<string, number>;

/** The index with an offset added on one axis. */
const shifted = (index: readonly number[], axis: number, by: number): number[] =>
  index.map((i, a) => (a === axis ? i + by : i));

const sliced = (name: string, shape: Shape, attributes: object, bindings: Numbers = {}): OpCase =>
  opCase(name, [float(shape)], { attributes: { ...attributes }, bindings, tolerance: 0 });

export const sliceSuite: OpSuite = {
  op: "slice",
  reference: ([x], attributes) => {
    const { axis, start, end } = attributes as { axis: number; start: number; end: number | null };
    const { shape } = x!;
    const to = (size: number): number => (end === null ? size : end < 0 ? size + end : end);
    const sizes = shape.map((size, a) => (a === axis ? to(size) - start : size));
    return [build(sizes, (index) => at(x!, shifted(index, axis, start)))];
  },
  differentiable: () => true,
  cases: [
    sliced("the beginning", [5, 3], { axis: 0, start: 0, end: 2, size: 2 }),
    sliced("the middle", [2, 6, 3], { axis: 1, start: 2, end: 5, size: 3 }),
    sliced("the end", [2, 6], { axis: 1, start: 4, end: null, size: 2 }),
    sliced("one entry", [2, 6], { axis: 1, start: 3, end: 4, size: 1 }),
    sliced("everything", [2, 6], { axis: 1, start: 0, end: 6, size: 6 }),
    sliced("nothing", [2, 6], { axis: 1, start: 3, end: 3, size: 0 }),
    sliced("beside symbols", ["B", "T", 6], { axis: 2, start: 2, end: 5, size: 3 }, { B: 2, T: 3 }),
    sliced(
      "a symbolic axis to its end",
      ["P+T", 2],
      { axis: 0, start: 0, end: null, size: "P+T" },
      { P: 2, T: 3 },
    ),
    sliced("up to the last two", [2, 6], { axis: 1, start: 1, end: -2, size: 3 }),
    sliced(
      "a symbolic axis up to its last entry",
      ["2+T", 2],
      { axis: 0, start: 1, end: -1, size: "T" },
      { T: 3 },
    ),
    sliced("no rows", ["B", 6], { axis: 1, start: 1, end: 3, size: 2 }, { B: 0 }),
  ],
  rejected: [
    reject("past the end", [float([5])], { axis: 0, start: 2, end: 6, size: 4 }),
    reject("an axis that is not there", [float([5])], { axis: 1, start: 0, end: 1, size: 1 }),
    reject("a size that is not the range's", [float([5])], { axis: 0, start: 0, end: 2, size: 3 }),
    reject("a size that is not the rest's", [float([5])], { axis: 0, start: 2, end: null, size: 5 }),
    reject("an end before the start, counted from the end", [float([5])], {
      axis: 0,
      start: 3,
      end: -3,
      size: -1,
    }),
    reject("a negative start", [float([5])], { axis: 0, start: -2, end: 0, size: 2 }),
    reject("an end before the start", [float([5])], { axis: 0, start: 3, end: 2, size: -1 }),
  ],
  realistic: sliced("[1024, 960], queries out of qkv", [1024, 960], {
    axis: 1,
    start: 0,
    end: 576,
    size: 576,
  }),
};

const cut = (
  name: string,
  shape: Shape,
  axis: number,
  sizes: Shape,
  seeded: readonly number[],
  bindings: Numbers = {},
): OpCase => opCase(name, [float(shape)], { attributes: { axis, sizes }, bindings, seeded, tolerance: 0 });

export const splitSuite: OpSuite = {
  op: "split",
  reference: ([x], attributes, bindings) => {
    const { axis, sizes } = attributes as { axis: number; sizes: Shape };
    let start = 0;
    return evaluateShape(sizes, bindings).map((size) => {
      const from = start;
      start += size;
      const shape = x!.shape.with(axis, size);
      return build(shape, (index) => at(x!, shifted(index, axis, from)));
    });
  },
  differentiable: () => true,
  cases: [
    cut("two parts", [5, 3], 0, [2, 3], [0, 1]),
    cut("three parts of rows", [2, 7], 1, [4, 2, 1], [0, 1, 2]),
    cut("a gradient of the middle part alone", [2, 7], 1, [4, 2, 1], [1]),
    cut("a gradient of the first part alone", [2, 7], 1, [4, 3], [0]),
    cut("an inner axis beside symbols", ["B", 5, "T"], 1, [2, 3], [0, 1], { B: 2, T: 3 }),
    cut("a symbolic last part", ["3+T", 2], 0, [3, "T"], [0, 1], { T: 4 }),
    cut("an empty last part", ["3+T", 2], 0, [3, "T"], [0, 1], { T: 0 }),
    cut("no rows", ["B", 5], 1, [2, 3], [0, 1], { B: 0 }),
  ],
  rejected: [
    reject("parts that are not the whole", [float([2, 6])], { axis: 1, sizes: [2, 3] }),
    reject("a symbolic part that is not the last", [float(["3+T"])], { axis: 0, sizes: ["T", 3] }),
    reject("an axis that is not there", [float([6])], { axis: 1, sizes: [2, 4] }),
  ],
  realistic: cut("qkv of 1024 tokens", [1024, 960], 1, [576, 192, 192], [0, 1, 2]),
};

const padded = (
  name: string,
  from: Shape,
  to: Shape,
  axis: number,
  start: number,
  bindings: Numbers = {},
): OpCase => opCase(name, [float(from), float(to)], { attributes: { axis, start }, bindings, tolerance: 0 });

export const padLikeSuite: OpSuite = {
  op: "padLike",
  reference: ([x, like], attributes) => {
    const { axis, start } = attributes as { axis: number; start: number };
    const size = x!.shape[axis]!;
    return [
      build(like!.shape, (index) => {
        const i = index[axis]! - start;
        return i < 0 || i >= size ? 0 : at(x!, shifted(index, axis, -start));
      }),
    ];
  },
  differentiable: (input) => input === 0,
  cases: [
    padded("at the beginning", [2, 3], [5, 3], 0, 0),
    padded("in the middle", [2, 3, 2], [2, 7, 2], 1, 2),
    padded("at the end", [2, 2], [2, 6], 1, 4),
    padded("one entry", [2, 1], [2, 6], 1, 3),
    padded("nothing to add", [2, 6], [2, 6], 1, 0),
    padded("beside symbols", ["B", "T", 2], ["B", "T", 6], 2, 3, { B: 2, T: 3 }),
    padded("a symbolic piece at the end", ["T", 2], ["2+T", 2], 0, 2, { T: 3 }),
    padded("a symbolic piece with known entries behind", ["T", 2], ["3+T", 2], 0, 1, { T: 3 }),
    padded("an empty piece at the end", ["T", 2], ["2+T", 2], 0, 2, { T: 0 }),
    {
      ...padded("a symbolic piece with entries behind", ["T", 2], ["P+T", 2], 0, 1, { P: 2, T: 3 }),
      smooth: false, // Its gradient is refused, see the test of the operation.
    },
    padded("no rows", ["B", 2], ["B", 6], 1, 3, { B: 0 }),
  ],
  rejected: [
    reject("a piece larger than the whole", [float([4]), float([3])], { axis: 0, start: 0 }),
    reject("a piece that sticks out", [float([2]), float([3])], { axis: 0, start: 2 }),
    reject("other axes that differ", [float([2, 2]), float([3, 4])], { axis: 0, start: 0 }),
    reject("another number of axes", [float([2]), float([3, 2])], { axis: 0, start: 0 }),
  ],
  realistic: padded("[1024, 576] into [1024, 960]", [1024, 576], [1024, 960], 1, 0),
};

const joined = (name: string, shapes: readonly Shape[], axis: number, bindings: Numbers = {}): OpCase =>
  opCase(
    name,
    shapes.map((shape) => float(shape)),
    { attributes: { axis }, bindings, tolerance: 0 },
  );

export const concatSuite: OpSuite = {
  op: "concat",
  reference: (inputs, attributes) => {
    const axis = attributes["axis"] as number;
    const first = inputs[0]!;
    const total = inputs.reduce((sum, x) => sum + x.shape[axis]!, 0);
    return [
      build(
        first.shape.map((size, a) => (a === axis ? total : size)),
        (index) => {
          let i = index[axis]!;
          for (const x of inputs) {
            const size = x.shape[axis]!;
            if (i < size)
              return at(
                x,
                index.map((j, a) => (a === axis ? i : j)),
              );
            i -= size;
          }
          throw new RangeError("past the end");
        },
      ),
    ];
  },
  differentiable: () => true,
  cases: [
    joined("two vectors", [[2], [3]], 0),
    joined(
      "three matrices by columns",
      [
        [2, 3],
        [2, 1],
        [2, 2],
      ],
      1,
    ),
    joined(
      "three matrices by rows",
      [
        [2, 3],
        [1, 3],
        [4, 3],
      ],
      0,
    ),
    joined(
      "an inner axis",
      [
        [2, 2, 3],
        [2, 1, 3],
      ],
      1,
    ),
    joined(
      "beside symbols",
      [
        ["B", "T", 2],
        ["B", "T", 3],
      ],
      2,
      { B: 2, T: 3 },
    ),
    joined(
      "a symbolic axis at last",
      [
        [2, 3],
        ["T", 3],
      ],
      0,
      { T: 4 },
    ),
    joined(
      "an empty part",
      [
        [2, 3],
        ["T", 3],
      ],
      0,
      { T: 0 },
    ),
    joined(
      "no rows",
      [
        ["B", 2],
        ["B", 3],
      ],
      1,
      { B: 0 },
    ),
  ],
  rejected: [
    reject("other axes that differ", [float([2, 3]), float([2, 4])], { axis: 0 }),
    reject("another number of axes", [float([2, 3]), float([2])], { axis: 0 }),
    reject("an axis that is not there", [float([2, 3]), float([2, 3])], { axis: 2 }),
  ],
  realistic: joined(
    "q, k, v of 1024 tokens",
    [
      [1024, 576],
      [1024, 192],
      [1024, 192],
    ],
    1,
  ),
};
