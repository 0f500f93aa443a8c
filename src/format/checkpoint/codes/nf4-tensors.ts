/**
 * @file Matrices of 4 bits as bitsandbytes keeps them (QLoRA, arXiv:2305.14314). A matrix M has:
 *
 *   M uint8 [elements / 2, 1]       two codes per byte, the even element in the high half
 *   M.absmax                        the scale of each block of 64 elements: float32; or quantized too, uint8, with
 *   M.nested_absmax, M.nested_quant_map    scale = map[absmax] · nested_absmax of 256 blocks + nested_offset
 *   M.quant_map                     the values of the codes
 *   M.quant_state.bitsandbytes__nf4 JSON: shape, blocksize, nested_offset
 */
import { z } from "zod";
import { numElements } from "../../../graph/shape.ts";
import { NF4_VALUES } from "../../../quant/storages/nf4.ts";
import { STORAGES } from "../../../quant/storages.ts";
import { storedBytes } from "../../../quant/storage.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, refusedVariant, requireSize } from "./codes-errors.ts";
import type { CodesTensor, HeldForm, OutlinedMatrix } from "./codes-form.ts";

/** In the name of a state, this stands between the name of the matrix and the kind of its codes. */
export const STATE_MARK = ".quant_state.bitsandbytes__";
const BLOCK = 64;
const NESTED_BLOCK = 256;

const STATE = z.object({
  blocksize: z.int(),
  shape: z.tuple([z.int().positive(), z.int().positive()]),
  nested_blocksize: z.int().optional(),
  nested_offset: z.number().optional(),
});

const heldIn = (shape: readonly number[]): HeldForm => ({
  storage: "nf4",
  sizeBytes: storedBytes(STORAGES.nf4, shape),
});

/** How a matrix is held, known only from settings. @throws UsageError "usage/quantization" when blocks do not fill its rows */
export function heldNf4(path: string, { module, shape, numColumns }: OutlinedMatrix): HeldForm {
  if (numColumns % BLOCK === 0) return heldIn(shape);
  throw refusedVariant(path, `"${module}" [${shape.join(", ")}] in nf4`, `blocks of ${BLOCK} that fill rows`);
}

/** Finds a matrix by its state. @throws as `CodesForm.find` */
export async function findNf4(weights: Safetensors, name: string, kind: string): Promise<CodesTensor> {
  const { path } = weights;
  const stateKey = name + STATE_MARK + kind;
  const { blocksize, shape, ...nested } = await readState(weights, name, stateKey);
  const isNested = weights.tensors.has(`${name}.nested_absmax`);
  const { nested_blocksize: nestedBlock = NESTED_BLOCK, nested_offset: offset = 0 } = nested;
  if (kind !== "nf4" || blocksize !== BLOCK || shape[1] % BLOCK !== 0 || nestedBlock !== NESTED_BLOCK) {
    throw refusedVariant(
      path,
      `"${name}" [${shape.join(", ")}] in ${kind} with blocks of ${blocksize}`,
      `nf4 with blocks of ${BLOCK} that fill rows, and scales in blocks of ${NESTED_BLOCK}`,
    );
  }
  const numBlocks = numElements(shape) / BLOCK;
  const sizes: Readonly<Record<string, readonly [dtype: string, length: number]>> = {
    "": ["uint8", numElements(shape) / 2],
    ".absmax": [isNested ? "uint8" : "float32", numBlocks],
    ".quant_map": ["float32", NF4_VALUES.length],
    ...(isNested && {
      ".nested_absmax": ["float32", Math.ceil(numBlocks / NESTED_BLOCK)],
      ".nested_quant_map": ["float32", 256],
    }),
  };
  for (const [ending, [dtype, length]] of Object.entries(sizes)) {
    requireSize(weights, name + ending, dtype, length);
  }
  const part = async (ending: string) =>
    (await weights.read(name + ending)).data as Float32Array<ArrayBuffer>;
  const values = await part(".quant_map");
  if (values.some((value, i) => Math.abs(value - NF4_VALUES[i]!) > 1e-6)) {
    throw damagedCodes(path, `${name}.quant_map`, "other values", "those of nf4");
  }
  const readScales = async (): Promise<Float32Array<ArrayBuffer>> => {
    const scales = await part(".absmax");
    if (!isNested) return scales;
    const [map, largest] = [await part(".nested_quant_map"), await part(".nested_absmax")];
    return Float32Array.from(
      scales,
      (code, block) => Math.fround(map[code]! * largest[Math.floor(block / NESTED_BLOCK)]!) + offset,
    );
  };
  return {
    info: { name, shape, ...heldIn(shape) },
    parts: [stateKey, ...Object.keys(sizes).map((ending) => name + ending)],
    read: async () => {
      const pairs = (await weights.read(name)).data as Uint8Array<ArrayBuffer>;
      const codes = pairs.map((pair) => (pair >> 4) | (pair << 4));
      return {
        storage: "nf4",
        shape,
        planes: {
          codes: hostTensor("uint8", [shape[0], shape[1] / 2], codes),
          scale: hostTensor("float32", [shape[0], shape[1] / BLOCK], await readScales()),
        },
      };
    },
  };
}

/** @throws FormatError "format/tensor" when it is not the JSON of a state */
async function readState(weights: Safetensors, name: string, key: string): Promise<z.output<typeof STATE>> {
  const { data } = await weights.read(key);
  try {
    return STATE.parse(JSON.parse(new TextDecoder().decode(data)));
  } catch {
    throw damagedCodes(weights.path, key, "no state of a matrix", `JSON with the shape of "${name}"`);
  }
}
