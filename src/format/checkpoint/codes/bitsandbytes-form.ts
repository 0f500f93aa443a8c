/**
 * @file The form of bitsandbytes, as transformers and Unsloth save it; only read. In 4 bits (QLoRA, arXiv:2305.14314) a matrix M is
 *
 *   M uint8 [elements / 2, 1]       two codes a byte, the even element in the high half
 *   M.absmax                        the scale of each block of 64 elements, float32; or, quantized themselves, uint8 with
 *   M.nested_absmax, M.nested_quant_map    scale = map[absmax] · nested_absmax of 256 blocks + nested_offset
 *   M.quant_map                     the values of the codes
 *   M.quant_state.bitsandbytes__nf4 JSON: shape, blocksize, nested_offset
 *
 * In 8 bits (LLM.int8(), arXiv:2208.07339) it is int8 [out, in] with the largest magnitude of each row beside it, SCB:
 * weight[o, i] = SCB[o] / 127 · code[o, i].
 */
import { z } from "zod";
import { numElements } from "../../../graph/shape.ts";
import { NF4_VALUES } from "../../../quant/storages/nf4.ts";
import { STORAGES } from "../../../quant/storages.ts";
import { storedBytes } from "../../../quant/storage.ts";
import { widen } from "../../../quant/codes/half.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, refusedVariant, showPart } from "./codes-errors.ts";
import type { CodesForm, CodesTensor } from "./codes-form.ts";

const STATE_MARK = ".quant_state.bitsandbytes__";
const ROW_SCALES = "SCB";
const BLOCK = 64;
const NESTED_BLOCK = 256;

const STATE = z.object({
  blocksize: z.int(),
  shape: z.tuple([z.int().positive(), z.int().positive()]),
  nested_blocksize: z.int().optional(),
  nested_offset: z.number().optional(),
});

export const bitsandbytesForm: CodesForm = {
  name: "bitsandbytes",
  claims: ({ quant_method: method, load_in_4bit: four, load_in_8bit: eight }) =>
    method === "bitsandbytes" || (method === undefined && (four === true || eight === true)),

  async find(_settings, weights) {
    const found: CodesTensor[] = [];
    for (const key of weights.tensors.keys()) {
      const [name = "", kind] = key.split(STATE_MARK);
      if (kind !== undefined) found.push(await findInFourBits(weights, name, kind));
      else if (key.endsWith(`.${ROW_SCALES}`)) {
        found.push(await findInEightBits(weights, key.slice(0, -ROW_SCALES.length)));
      }
    }
    return found;
  },

  writing: "read-only",
};

async function findInFourBits(weights: Safetensors, name: string, kind: string): Promise<CodesTensor> {
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
  const part = async (ending: string) => (await weights.read(name + ending)).data as Float32Array;
  const values = await part(".quant_map");
  if (values.some((value, i) => Math.abs(value - NF4_VALUES[i]!) > 1e-6)) {
    throw damagedCodes(path, `${name}.quant_map`, "other values", "those of nf4");
  }
  const readScales = async (): Promise<Float32Array<ArrayBuffer>> => {
    const scales = await part(".absmax");
    if (!isNested) return scales.slice();
    const [map, largest] = [await part(".nested_quant_map"), await part(".nested_absmax")];
    return Float32Array.from(
      scales,
      (code, block) => Math.fround(map[code]! * largest[Math.floor(block / NESTED_BLOCK)]!) + offset,
    );
  };
  return {
    info: { name, shape, storage: "nf4", sizeBytes: storedBytes(STORAGES.nf4, shape) },
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

/** @throws FormatError "format/tensor" for what is no JSON of a matrix */
async function readState(weights: Safetensors, name: string, key: string): Promise<z.output<typeof STATE>> {
  const { data } = await weights.read(key);
  try {
    return STATE.parse(JSON.parse(new TextDecoder().decode(data)));
  } catch {
    throw damagedCodes(weights.path, key, "no state of a matrix", `JSON with the shape of "${name}"`);
  }
}

function requireSize(weights: Safetensors, name: string, dtype: string, length: number): void {
  const found = weights.tensors.get(name);
  if (found?.dtype === dtype && numElements(found.shape) === length) return;
  throw damagedCodes(weights.path, name, showPart(found), `${length} of ${dtype}`);
}

/** `module` ends in a dot. */
async function findInEightBits(weights: Safetensors, module: string): Promise<CodesTensor> {
  const [name, scales, layout] = [`${module}weight`, module + ROW_SCALES, `${module}weight_format`];
  const shape = weights.tensors.get(name)?.shape ?? [];
  const [numRows = 0, numColumns = 0] = shape;
  requireSize(weights, name, "int8", numRows * numColumns);
  const { dtype = null } = weights.tensors.get(scales) ?? {};
  requireSize(weights, scales, dtype?.startsWith("float") ? dtype : "float32", numRows);
  const hasLayout = weights.tensors.has(layout);
  if (hasLayout && Number((await weights.read(layout)).data[0]) !== 0) {
    throw refusedVariant(weights.path, `"${name}" in a layout of one kernel`, "rows one after another");
  }
  return {
    info: { name, shape, storage: "u8", groupSize: numColumns, sizeBytes: numRows * (numColumns + 5) },
    parts: [name, scales, ...(hasLayout ? [layout] : [])],
    read: async () => {
      const signed = (await weights.read(name)).data as Int8Array<ArrayBuffer>;
      const largest = widen(await weights.read(scales)).data;
      return {
        storage: "u8",
        shape,
        planes: {
          codes: hostTensor(
            "uint8",
            shape,
            Uint8Array.from(signed, (code) => code + 128),
          ),
          scale: hostTensor(
            "float32",
            [numRows, 1],
            largest.map((value) => value / 127),
          ),
          zero: hostTensor("uint8", [numRows, 1], new Uint8Array(numRows).fill(128)),
        },
      };
    },
  };
}
