/** @file Dequantizes integers of a few bits, packed in rows, with a scale and a zero or a minimum for each group of a row. */
import type { CodeBits } from "../../graph/ops/products/unpack-codes.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { plane, type Planes } from "../planes.ts";
import { FLOAT16_VALUES } from "./half.ts";
import { unpackRow } from "./pack-codes.ts";
import { eachGroup } from "./row-groups.ts";

/** Number of codes that fills whole bytes for any number of bits. */
export const CODES_UNIT = 8;

/** Like `Storage.dequantize`, for blocks of that many codes. */
type Dequantize = (planes: Planes, first: number, end: number, into: Float32Array) => void;

/** Makes a function that computes the values of planes with zeros, or with minima instead. */
export function dequantizePacked(bits: CodeBits): Dequantize {
  return (planes, first, end, into) => {
    const { shape, data: packed } = plane(planes, "codes", "uint8");
    const { zero, min } = planes;
    const scale = scaleReader(planes["scale"]!);
    const minimum = min ? scaleReader(min) : (at: number) => -Number(zero!.data[at]) * scale(at);
    const rowBytes = shape.at(-1)!;
    const numColumns = (rowBytes * 8) / bits;
    const groups = { numColumns, groupSize: numColumns / planes["scale"]!.shape.at(-1)! };
    const codes = new Uint8Array(numColumns);
    let [held, i] = [-1, 0];
    eachGroup(groups, first * CODES_UNIT, end * CODES_UNIT, ({ row, column, stop, group }) => {
      if (row !== held) unpackRow(packed, row * rowBytes, bits, codes);
      held = row;
      // With integer zeros both products are exact in float64, and so is their difference.
      const [s, m] = [scale(group), minimum(group)];
      for (let at = column; at < stop; at++, i++) into[i] = codes[at]! * s + m;
    });
  };
}

function scaleReader({ dtype, data }: HostTensor): (at: number) => number {
  if (dtype === "float32") return (at) => data[at] as number;
  if (dtype === "float16") return (at) => FLOAT16_VALUES[data[at] as number]!;
  // Converted one at a time, as single rows of large tables are read.
  const value = new Float32Array(1);
  const upper = new Uint16Array(value.buffer, 2);
  return (at) => {
    upper[0] = data[at] as number;
    return value[0]!;
  };
}
