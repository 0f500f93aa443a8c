/**
 * @file Unpacks integers of 2, 3, 4 or 8 bits, packed row by row, to float32.
 *
 * A row is one bit stream: code j lies at bits j·b … j·b+b-1, the lowest bit of each byte first. 8 codes fill b bytes.
 *
 *   codes = floor(bytes · A) · B     A [b, m] shifts bytes right, B [m, 8] combines the shifted bytes to codes
 *
 * Shifts are by powers of two and all sums stay below 2^12, so both products are exact in float32. They take less time
 * than a table look-up or shifts and masks of integers: docs/log.md#costs-of-single-operators.
 */
import { DTYPES, FLOAT_BYTES } from "../../dtype.ts";
import type { Emitter } from "../../emitter.ts";
import { applyOne, type Op, type Value } from "../../graph.ts";
import { dimAt, evaluateDim, showShape } from "../../shape.ts";

/** Bits that a code may have. */
export const CODE_BITS = [2, 3, 4, 8] as const;
export type CodeBits = (typeof CODE_BITS)[number];

type UnpackAttributes = Readonly<{ bits: CodeBits; columns: number }>;

/** Number of codes that fills whole bytes for any number of bits. */
const UNIT = 8;

/** Bytes of a row of codes. */
export function packedBytes(bits: CodeBits, columns: number): number {
  return Math.ceil((bits * columns) / 8);
}

export const unpackCodesOp: Op<UnpackAttributes, readonly [Value]> = {
  name: "unpackCodes",
  infer: ([{ dtype, shape }], { bits, columns }) => {
    const isByte = dtype === "uint8" || (dtype === "int8" && bits === 8);
    if (!isByte || !CODE_BITS.includes(bits)) {
      throw new TypeError(
        `Cannot unpack codes of ${bits} bits from ${dtype}, expected 2, 3, 4 or 8 of uint8`,
      );
    }
    if (shape.length !== 2 || shape[1] !== packedBytes(bits, columns)) {
      throw new RangeError(
        `Cannot unpack ${columns} codes of ${bits} bits from ${showShape(shape)}: expected ${packedBytes(bits, columns)} bytes a row`,
      );
    }
    return [{ dtype: "float32", shape: [dimAt(shape, 0), columns] }];
  },
  emit: (node, emitter) => {
    const { bits, columns } = node.attributes;
    const to = DTYPES.float32.onnx;
    if (bits === 8) return emitter.simple(node, "Cast", { to });
    const [packed] = emitter.names(node.inputs);
    const [output] = emitter.names(node.outputs);
    const numUnits = Math.ceil(columns / UNIT);
    const isWhole = columns % UNIT === 0;
    const bytes = emitter.value("Cast", [wholeUnits(emitter, packed, node.attributes)], { to });
    const { shifts, sums, numShifted } = unitMatrices(bits);
    const product = (x: string, shape: readonly [number, number], matrix: Float32Array): string =>
      emitter.value("MatMul", [x, emitter.constant("float32", shape, matrix)]);
    const shifted = product(bytes, [bits, numShifted], shifts);
    const codes = product(emitter.value("Floor", [shifted]), [numShifted, UNIT], sums);
    const rows = isWhole ? output : emitter.temporary();
    emitter.node("Reshape", [codes, emitter.int64([-1, numUnits * UNIT])], [rows]);
    if (!isWhole) {
      emitter.node(
        "Slice",
        [rows, emitter.int64([0]), emitter.int64([columns]), emitter.int64([1])],
        [output],
      );
    }
  },
  multiplications: ({ inputs: [packed], attributes: { bits, columns } }, bindings) => {
    if (bits === 8) return { kind: "float32", count: 0 };
    const numUnits = evaluateDim(dimAt(packed.shape, 0), bindings) * Math.ceil(columns / UNIT);
    return { kind: "float32", count: numUnits * (bits + UNIT) * unitMatrices(bits).numShifted };
  },
  // The bytes as floats, and shifted. Before rounding down, the shifted ones lie in the memory of the codes if the sizes are
  // equal, else beside it.
  heldBytes: ({ inputs: [packed], attributes: { bits, columns } }, bindings) => {
    if (bits === 8) return [];
    const { numShifted } = unitMatrices(bits);
    const numUnits = evaluateDim(dimAt(packed.shape, 0), bindings) * Math.ceil(columns / UNIT);
    const shifted = FLOAT_BYTES * numShifted * numUnits;
    return [FLOAT_BYTES * bits * numUnits, shifted, ...(numShifted === UNIT ? [] : [shifted])];
  },
  vjp: "not-differentiable",
};

/** Reshapes the packed bytes to [-1, bits], padding each row to whole units. */
function wholeUnits(emitter: Emitter, packed: string, { bits, columns }: UnpackAttributes): string {
  const missing = Math.ceil(columns / UNIT) * bits - packedBytes(bits, columns);
  const filled = missing > 0 ? emitter.value("Pad", [packed, emitter.int64([0, 0, 0, missing])]) : packed;
  return emitter.value("Reshape", [filled, emitter.int64([-1, bits])]);
}

/** The two matrices for 8 codes, row-major. */
function unitMatrices(bits: CodeBits): { shifts: Float32Array; sums: Float32Array; numShifted: number } {
  const shifted: (readonly [byte: number, shift: number])[] = [];
  const entries: (readonly [row: number, code: number, factor: number])[] = [];
  const rowOf = (byte: number, shift: number): number => {
    const found = shifted.findIndex(([b, s]) => b === byte && s === shift);
    return found >= 0 ? found : shifted.push([byte, shift]) - 1;
  };
  for (let code = 0; code < UNIT; code++) {
    const [from, end] = [code * bits, (code + 1) * bits];
    // A code takes bits low … high-1 of one byte, or of two.
    for (let bit = from; bit < end;) {
      const byte = Math.floor(bit / 8);
      const low = bit % 8;
      const high = Math.min(8, low + end - bit);
      const factor = 2 ** (bit - from);
      entries.push([rowOf(byte, low), code, factor]);
      if (high < 8) entries.push([rowOf(byte, high), code, -factor * 2 ** (high - low)]);
      bit += high - low;
    }
  }
  const numShifted = shifted.length;
  const shifts = new Float32Array(bits * numShifted);
  for (const [row, [byte, shift]] of shifted.entries()) shifts[byte * numShifted + row] = 2 ** -shift;
  const sums = new Float32Array(numShifted * UNIT);
  for (const [row, code, factor] of entries) sums[row * UNIT + code] = factor;
  return { shifts, sums, numShifted };
}

/**
 * Unpacks codes of `bits` bits: uint8 [rows, packedBytes] (or, for 8 bits, int8) gives float32 [rows, columns].
 * @throws TypeError, RangeError when the input has another type or number of bytes
 */
export function unpackCodes(packed: Value, bits: CodeBits, columns: number): Value {
  return applyOne(unpackCodesOp, [packed], { bits, columns });
}
