/**
 * @file The form of bitsandbytes, as transformers and Unsloth save it; only read. For matrices of 4 bits see `nf4-tensors.ts`. A
 * matrix of 8 bits (LLM.int8(), arXiv:2208.07339) is int8 [out, in], with the largest magnitude of each row in a tensor SCB [out]:
 * weight[o, i] = SCB[o] / 127 · code[o, i].
 */
import { bytesOf, FLOAT_BYTES } from "../../../graph/dtype.ts";
import { flipSigns } from "../../../quant/codes/flip-signs.ts";
import { widen } from "../../../quant/codes/half.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";
import type { JsonObject } from "../../files/json-file.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { refusedVariant, requireSize } from "./codes-errors.ts";
import type { CodesForm, CodesTensor, HeldForm, OutlinedMatrix } from "./codes-form.ts";
import { heldCodes } from "./held-codes.ts";
import { isInCodes } from "./named-modules.ts";
import { findNf4, heldNf4, STATE_MARK } from "./nf4-tensors.ts";

const ROW_SCALES = "SCB";

export const bitsandbytesForm: CodesForm = {
  name: "bitsandbytes",
  claims: ({ quant_method: method, load_in_4bit: four, load_in_8bit: eight }) =>
    method === "bitsandbytes" || (method === undefined && (four === true || eight === true)),

  requireKnown: (path, settings) => void kindOf(path, settings),

  async find(_settings, weights) {
    const found: CodesTensor[] = [];
    for (const key of weights.tensors.keys()) {
      const [name = "", kind] = key.split(STATE_MARK);
      if (kind !== undefined) found.push(await findNf4(weights, name, kind));
      else if (key.endsWith(`.${ROW_SCALES}`)) {
        found.push(await findInEightBits(weights, key.slice(0, -ROW_SCALES.length)));
      }
    }
    return found;
  },

  outline(path, settings) {
    const kind = kindOf(path, settings);
    const isIn = isInCodes(settings["llm_int8_skip_modules"]);
    const held = (matrix: OutlinedMatrix): HeldForm =>
      kind === "nf4" ? heldNf4(path, matrix) : heldCodes(8, matrix.shape, matrix.numColumns, FLOAT_BYTES);
    return kind && ((matrix) => (isIn(matrix) ? held(matrix) : null));
  },

  writing: "read-only",
};

/** The kind of codes that settings state; null: none. @throws UsageError "usage/quantization" for other codes of 4 bits */
function kindOf(
  path: string,
  { load_in_4bit: inFour, load_in_8bit: inEight, bnb_4bit_quant_type: kind }: JsonObject,
): "nf4" | "int8" | null {
  if (inFour !== true) return inEight === true ? "int8" : null;
  if (kind === "nf4" || kind === undefined) return kind ?? null;
  throw refusedVariant(path, `quantization to ${JSON.stringify(kind)}`, "nf4");
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
    info: { name, shape, ...heldCodes(8, shape, numColumns, FLOAT_BYTES) },
    parts: [name, scales, ...(hasLayout ? [layout] : [])],
    read: async () => {
      const codes = bytesOf((await weights.read(name)).data) as Uint8Array<ArrayBuffer>;
      flipSigns(codes, codes);
      const largest = widen(await weights.read(scales)).data;
      return {
        storage: "u8",
        shape,
        planes: {
          codes: hostTensor("uint8", shape, codes),
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
