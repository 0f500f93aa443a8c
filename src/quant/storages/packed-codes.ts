/**
 * @file Storages u2, u3, u4 and u8: integers of a few bits in tensors of their own, with a scale and a zero for each group of a
 * row; value = scale · (code − zero). They occur in model folders (format/checkpoint/codes), in several layouts.
 *
 * Planes: codes uint8 [rows, bytes], each row a bit stream; scale, a float type, and zero uint8 [rows, groups].
 */
import { UsageError } from "../../errors.ts";
import type { CodeBits } from "../../graph/ops/products/unpack-codes.ts";
import { hostTensor, type HostTensor } from "../../runtime/host-tensor.ts";
import { type AffineKind, fitFloat16, type HoldCodes } from "../affine/affine.ts";
import { float32ToBfloat16, widen } from "../codes/half.ts";
import { CODES_UNIT, dequantizePacked } from "../codes/packed-values.ts";
import { plane } from "../planes.ts";
import { NOT_OF_GGML, type Storage } from "../storage.ts";

/** Makes the kind for codes of `bits` bits. */
export function packedCodes<N extends string>(name: N, bits: CodeBits): Storage & { readonly name: N } {
  return {
    name,
    ...NOT_OF_GGML,
    summary: `${bits}-bit codes, a scale and an 8-bit zero for each group of a row or the whole of it: in model folders.`,
    blockSize: CODES_UNIT,
    blockBytes: bits,
    dequantize: dequantizePacked(bits),
    quantize: "read-only",
    affine: affineOfPacked(bits),
  };
}

function affineOfPacked(bits: CodeBits): AffineKind {
  const hold: HoldCodes = {
    fits: ({ bits: own, codes, zero, factor }) =>
      own === bits && factor === null && (codes === "uint8" ? zero !== "float32" : zero === 0),
    pack: ({ zero: common }, { codes, scale, zero }) => {
      // Signed codes become unsigned bytes, and their zero of 0 is shifted too.
      const isSigned = codes.dtype === "int8";
      const moved = isSigned ? hostTensor("uint8", codes.shape, Uint8Array.from(codes.data, toByte)) : codes;
      const same = isSigned ? toByte(0) : (common as number);
      return {
        codes: moved,
        scale,
        zero: zero ?? hostTensor("uint8", scale.shape, new Uint8Array(scale.data.length).fill(same)),
      };
    },
  };
  return {
    format: { bits, codes: "uint8", groupSize: "of-each-tensor", zero: "uint8", factor: null },
    read: (planes) => ({
      codes: plane(planes, "codes", "uint8"),
      scale: widen(planes["scale"]!),
      zero: plane(planes, "zero", "uint8"),
      factor: null,
    }),
    write: (planes, scale, name) => ({ ...planes, scale: roundScale(scale, planes["scale"]!.dtype, name) }),
    hold,
  };
}

const toByte = (code: number): number => code + 128;

/** Rounds scales to a float type. @throws UsageError "usage/scale" when one does not fit */
export function roundScale(
  scale: HostTensor<"float32">,
  dtype: HostTensor["dtype"],
  name: string,
): HostTensor {
  const { shape, data } = scale;
  if (dtype === "float16") {
    return hostTensor(dtype, shape, fitFloat16(data, { name, what: "scale", numGroups: shape.at(-1)! }));
  }
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new UsageError(
      "usage/scale",
      `Cannot write scale of "${name}", row ${Math.floor(bad / shape.at(-1)!)}: ${data[bad]}, expected a number`,
      { hint: "Train with a smaller learning rate, or choose an earlier checkpoint of the run." },
    );
  }
  return dtype === "bfloat16" ? hostTensor(dtype, shape, float32ToBfloat16(data)) : scale;
}
