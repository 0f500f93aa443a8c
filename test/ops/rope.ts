/** @file Reference and cases of rope. The tables take no gradient: they are fixed. */
import { type Array64, at, build } from "./array64.ts";
import {
  type Draw,
  type OpCase,
  type OpSuite,
  float,
  given,
  int64,
  integers,
  opCase,
  reject,
} from "./op-suite.ts";

type Shape = readonly (number | string)[];

/** Angles of position p and pair i, with a small base so that short tables turn visibly. */
const table =
  (f: (angle: number) => number, half: number): Draw =>
  (_random, place) =>
    f(Math.floor(place / half) / 10 ** ((place % half) / half));

const rotated = (
  name: string,
  shape: Shape,
  numPositions: number,
  bindings: Record<string, number> = {},
  positions: Draw = integers(numPositions),
  half = (shape[3] as number) / 2,
  attributes: Record<string, unknown> = {},
): OpCase =>
  opCase(
    name,
    [
      float(shape),
      int64([shape[0] as number, shape[2] as number], positions),
      float([numPositions, half], table(Math.cos, half)),
      float([numPositions, half], table(Math.sin, half)),
    ],
    { bindings, attributes },
  );

/** Heads as a projection gives them, [B, T, H·E]. */
const projected = (name: string, shape: Shape, numHeads: number, half: number, neighbours = false): OpCase =>
  opCase(
    name,
    [
      float(shape),
      int64([shape[0] as number, shape[1] as number], integers(8)),
      float([8, half], table(Math.cos, half)),
      float([8, half], table(Math.sin, half)),
    ],
    { bindings: { B: 2, T: 3 }, attributes: { numHeads, ...(neighbours && { neighbours }) } },
  );

export const ropeSuite: OpSuite = {
  op: "rope",
  reference: ([x, positions, cos, sin], attributes) => {
    const [input, p, c, s] = [x, positions, cos, sin] as [Array64, Array64, Array64, Array64];
    const half = c.shape[1]!;
    const { numHeads, neighbours } = attributes as {
      readonly numHeads?: number;
      readonly neighbours?: boolean;
    };
    const width = input.shape.at(-1)! / (numHeads ?? 1);
    return [
      build(input.shape, (index) => {
        const [b, t, last] = [index[0], index.at(-2), index.at(-1)] as [number, number, number];
        const e = last % width;
        if (e >= 2 * half) return at(input, index);
        const position = at(p, [b, numHeads === undefined ? t : index[1]!]);
        const i = neighbours ? Math.floor(e / 2) : e % half;
        const ofHead = (place: number): number => at(input, [...index.slice(0, -1), last - e + place]);
        const pair = neighbours ? [2 * i, 2 * i + 1] : [i, i + half];
        const [first, second] = pair.map(ofHead) as [number, number];
        const [cosine, sine] = [at(c, [position, i]), at(s, [position, i])];
        return e === pair[0] ? first * cosine - second * sine : second * cosine + first * sine;
      }),
    ];
  },
  differentiable: (input) => input === 0,
  cases: [
    rotated("positions in order", [1, 2, 4, 6], 8, {}, given(0, 1, 2, 3)),
    rotated("positions in disorder", [2, 3, 4, 6], 8),
    rotated("one token at a late position", [1, 2, 1, 8], 16, {}, given(15)),
    rotated("heads of width 2", [2, 2, 3, 2], 4),
    rotated("symbolic sizes", ["B", 2, "T", 6], 16, { B: 2, T: 5 }),
    rotated("wide heads", [1, 2, 3, 64], 8),
    rotated("a quarter of each head", [2, 3, 4, 16], 8, {}, integers(8), 2),
    rotated("all of a head but two elements", [1, 2, 5, 6], 8, {}, integers(8), 2),
    rotated("a part, symbolic sizes", ["B", 2, "T", 64], 16, { B: 2, T: 3 }, integers(16), 16),
    rotated("a part of one late token", [1, 1, 1, 8], 16, {}, given(15), 1),
    rotated("a part, no tokens", ["B", 2, "T", 4], 8, { B: 2, T: 0 }, integers(8), 1),
    rotated("no tokens", ["B", 2, "T", 4], 8, { B: 2, T: 0 }),
    rotated("neighbours", ["B", 2, "T", 6], 16, { B: 2, T: 5 }, integers(16), 3, { neighbours: true }),
    rotated("neighbours, a part of each head", [2, 3, 4, 16], 8, {}, integers(8), 3, { neighbours: true }),
    projected("neighbours, heads behind one another", ["B", "T", 24], 3, 4, true),
    projected("neighbours, heads behind one another, a part of each", ["B", "T", 32], 2, 2, true),
    projected("heads behind one another", [2, 3, 24], 3, 4),
    projected("heads behind one another, symbolic sizes", ["B", "T", 12], 2, 3),
    projected("heads behind one another, a part of each", ["B", "T", 32], 2, 2),
  ],
  rejected: [
    reject("tables wider than the heads", [
      float([1, 2, 3, 8]),
      int64([1, 3], integers(4)),
      float([4, 5]),
      float([4, 5]),
    ]),
    reject("tables of two widths", [
      float([1, 2, 3, 8]),
      int64([1, 3], integers(4)),
      float([4, 4]),
      float([4, 3]),
    ]),
    reject("a part of an unknown number of heads", [
      float([1, "H", 3, 8]),
      int64([1, 3], integers(4)),
      float([4, 3]),
      float([4, 3]),
    ]),
    reject("three axes", [float([2, 3, 8]), int64([2, 3], integers(4)), float([4, 4]), float([4, 4])]),
    reject(
      "heads of no whole width",
      [float([2, 3, 8]), int64([2, 3], integers(4)), float([4, 1]), float([4, 1])],
      { numHeads: 3 },
    ),
    reject("positions that are not integers", [
      float([1, 2, 3, 8]),
      float([1, 3]),
      float([4, 4]),
      float([4, 4]),
    ]),
    reject("positions of another batch", [
      float([2, 2, 3, 8]),
      int64([1, 3], integers(4)),
      float([4, 4]),
      float([4, 4]),
    ]),
  ],
  realistic: rotated("[4, 9, 256, 64]", [4, 9, 256, 64], 256),
};
