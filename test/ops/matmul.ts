/** @file Reference and cases of matmul. */
import { type Array64, broadcastShape, count, eachIndex } from "./array64.ts";
import { type OpCase, type OpSuite, float, opCase, reject } from "./op-suite.ts";

interface MatmulAttributes {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
}
type Shape = readonly (number | string)[];
const PLAIN = { transA: false, transB: false, alpha: 1 };

function reference(a: Array64, b: Array64, { transA, transB, alpha }: MatmulAttributes): Array64 {
  const swap = (shape: readonly number[], yes: boolean): number[] =>
    (yes ? [shape.at(-1), shape.at(-2)] : [shape.at(-2), shape.at(-1)]) as number[];
  const [m, numInner] = swap(a.shape, transA) as [number, number];
  const [, n] = swap(b.shape, transB) as [number, number];
  const lead = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const data = new Float64Array(count(lead) * m * n);
  let place = 0;
  // By strides, not by `at`: checks of whole blocks compute hundreds of products.
  eachIndex(lead, (batch) => {
    const [startA, startB] = [matrixOffset(a, batch), matrixOffset(b, batch)];
    const [rowA, innerA] = transA ? [1, m] : [numInner, 1];
    const [innerB, columnB] = transB ? [1, numInner] : [n, 1];
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let k = 0; k < numInner; k++) {
          const left = a.data[startA + i * rowA + k * innerA]!;
          sum += left * b.data[startB + k * innerB + j * columnB]!;
        }
        data[place++] = alpha * sum;
      }
    }
  });
  return { shape: [...lead, m, n], data };
}

/** Where the matrix of a batch index begins; axes of size 1 repeat. */
function matrixOffset({ shape }: Array64, batch: readonly number[]): number {
  const lead = shape.slice(0, -2);
  const own = batch.slice(batch.length - lead.length);
  const index = lead.reduce((offset, size, axis) => offset * size + (size === 1 ? 0 : own[axis]!), 0);
  return index * count(shape.slice(-2));
}

function product(
  name: string,
  a: Shape,
  b: Shape,
  attributes: Partial<MatmulAttributes> = {},
  bindings: Record<string, number> = {},
): OpCase {
  return opCase(name, [float(a), float(b)], {
    attributes: { ...PLAIN, ...attributes },
    bindings,
    tolerance: 1e-5,
  });
}

/** All four ways to store the two factors, for shapes given as batch axes. */
function allTransposes(
  name: string,
  batchA: Shape,
  batchB: Shape,
  bindings: Record<string, number>,
): OpCase[] {
  const [m, k, n] = [3, 4, 5];
  return [false, true].flatMap((transA) =>
    [false, true].flatMap((transB) =>
      [1, -0.25].map((alpha) =>
        product(
          `${name}, transA ${transA}, transB ${transB}, alpha ${alpha}`,
          [...batchA, ...(transA ? [k, m] : [m, k])],
          [...batchB, ...(transB ? [n, k] : [k, n])],
          { transA, transB, alpha },
          bindings,
        ),
      ),
    ),
  );
}

export const matmulSuite: OpSuite = {
  op: "matmul",
  reference: ([a, b], attributes) => [reference(a!, b!, attributes as unknown as MatmulAttributes)],
  differentiable: () => true,
  cases: [
    ...allTransposes("2-D by 2-D", [], [], {}),
    ...allTransposes("3-D by 2-D", [2], [], {}),
    ...allTransposes("2-D by 3-D", [], [2], {}),
    ...allTransposes("4-D by 4-D", ["B", 3], ["B", 3], { B: 2 }),
    ...allTransposes("4-D by 4-D with heads repeated", ["B", 2], ["B", 1], { B: 2 }),
    ...allTransposes("4-D by 2-D", ["B", 2], [], { B: 2 }),
    product("sizes of 1", [1, 1], [1, 1]),
    product("one row", [1, 6], [6, 4]),
    product("one column", [5, 6], [6, 1]),
    product("inner size 1", [5, 1], [1, 4]),
    product("symbolic rows", ["B", "T", 4], [4, 3], {}, { B: 2, T: 5 }),
    product("symbolic rows, weight as stored", ["B", "T", 4], [3, 4], { transB: true }, { B: 2, T: 5 }),
    product("no rows", ["T", 4], [4, 3], {}, { T: 0 }),
    product("no rows, weight as stored", ["T", 4], [3, 4], { transB: true }, { T: 0 }),
    product("no batch", ["B", 2, 4], [4, 3], {}, { B: 0 }),
    product("nothing to sum", [2, "T"], ["T", 3], {}, { T: 0 }),
    product("nothing to sum, transposed", ["T", 2], ["T", 3], { transA: true }, { T: 0 }),
    product("large inner size", [2, 300], [300, 2]),
  ],
  rejected: [
    reject("inner sizes that differ", [float([2, 3]), float([4, 5])], PLAIN),
    reject("inner sizes that differ once transposed", [float([2, 3]), float([3, 5])], {
      ...PLAIN,
      transB: true,
    }),
    reject("a vector", [float([3]), float([3, 2])], PLAIN),
    reject("batches that differ", [float([2, 3, 4]), float([3, 4, 5])], PLAIN),
  ],
  realistic: product("[1024, 576] by [576, 1536]", [1024, 576], [576, 1536]),
};
