/**
 * @file The affine view of kinds that keep blocks of codes with a float16 scale, and maybe a minimum.
 *
 * A minimum m makes the zero a real number, z = −m / scale, which stays frozen: a new scale s moves the minimum to −s z.
 * A block of scale 0 has the one value m whatever its codes say. It is read as codes 0 and scale |m| / 16, exactly m.
 */
import { hostTensor, type HostTensor } from "../runtime/host-tensor.ts";
import { type AffineFormat, type AffineKind, fitFloat16 } from "./affine.ts";
import { BLOCK, NIBBLE_BYTES } from "./block.ts";
import { FLOAT16_VALUES, widen } from "./half.ts";
import { type Planes, plane } from "./storage.ts";

/** Of a block that has one value, the distance of code 0 from the zero. A power of two keeps the product exact. */
const CONSTANT_DISTANCE = 16;

/** Kinds with planes codes and scale, and one zero for all. */
export function symmetricBlocks(format: Omit<AffineFormat, "groupSize">): AffineKind {
  return {
    format: { ...format, groupSize: BLOCK },
    read: (planes) => ({
      codes: plane(planes, "codes", format.codes),
      scale: widen(plane(planes, "scale", "float16")),
      zero: null,
    }),
    write: (planes, scale, name) => ({ ...planes, scale: roundScales(scale, name) }),
  };
}

/** Kinds with planes codes (two a byte), scale and min. */
export const BLOCKS_WITH_MINIMUM: AffineKind = {
  format: { bits: 4, codes: "uint8", groupSize: BLOCK, zero: "float32" },

  read(planes) {
    const step = plane(planes, "scale", "float16");
    const min = plane(planes, "min", "float16");
    const scale = new Float32Array(step.data.length);
    const zero = new Float32Array(step.data.length);
    let codes = plane(planes, "codes", "uint8");
    for (let block = 0; block < scale.length; block++) {
      const d = FLOAT16_VALUES[step.data[block]!]!;
      const m = FLOAT16_VALUES[min.data[block]!]!;
      if (d === 0) {
        scale[block] = Math.abs(m) / CONSTANT_DISTANCE;
        zero[block] = -Math.sign(m) * CONSTANT_DISTANCE;
        codes = withoutCodes(codes, block, planes);
      } else {
        scale[block] = d;
        zero[block] = -m / d;
      }
    }
    return {
      codes,
      scale: hostTensor("float32", step.shape, scale),
      zero: hostTensor("float32", step.shape, zero),
    };
  },

  write(planes, scale, name) {
    const step = plane(planes, "scale", "float16");
    const zero = BLOCKS_WITH_MINIMUM.read(planes).zero!;
    const scaleBits = new Uint16Array(step.data.length);
    const minBits = new Uint16Array(step.data.length);
    const numGroups = step.shape.at(-1)!;
    for (let block = 0; block < scaleBits.length; block++) {
      const s = scale.data[block]!;
      // A block of one value keeps its scale of 0, else its codes would begin to count.
      const isConstant = FLOAT16_VALUES[step.data[block]!] === 0;
      scaleBits[block] = isConstant
        ? step.data[block]!
        : fitFloat16(s, block, { name, what: "scale", numGroups });
      minBits[block] = fitFloat16(-s * zero.data[block]!, block, { name, what: "minimum", numGroups }, true);
    }
    return {
      ...planes,
      scale: hostTensor("float16", step.shape, scaleBits),
      min: hostTensor("float16", step.shape, minBits),
    };
  },
};

function roundScales(scale: HostTensor<"float32">, name: string): HostTensor<"float16"> {
  const place = { name, what: "scale", numGroups: scale.shape.at(-1)! };
  const bits = new Uint16Array(scale.data.length);
  for (let i = 0; i < bits.length; i++) bits[i] = fitFloat16(scale.data[i]!, i, place);
  return hostTensor("float16", scale.shape, bits);
}

/** The codes with those of a block 0; a copy only when they are not so already. */
function withoutCodes(codes: HostTensor<"uint8">, block: number, planes: Planes): HostTensor<"uint8"> {
  const [from, end] = [block * NIBBLE_BYTES, (block + 1) * NIBBLE_BYTES];
  if (codes.data.subarray(from, end).every((pair) => pair === 0)) return codes;
  const own = codes === planes["codes"] ? { ...codes, data: codes.data.slice() } : codes;
  own.data.fill(0, from, end);
  return own;
}
