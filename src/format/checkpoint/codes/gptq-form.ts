/**
 * @file The form of GPTQ's tools (AutoGPTQ, GPTQModel, transformers, vLLM). A linear layer M has:
 *
 *   M.qweight int32 [in·b/32, out]   column o is the bit stream of row o of the matrix, lowest bits first
 *   M.qzeros  int32 [groups, out·b/32]   row g is the bit stream of the zeros, minus one in version 1 of the form
 *   M.scales  float16 [groups, out]      M.g_idx int32 [in]: the group of each input
 *
 *   weight[o, i] = scales[g, o] · (code[o, i] − zero[g, o])     g = ⌊i / groupSize⌋, so that g_idx is redundant
 */
import { UsageError } from "../../../errors.ts";
import type { CodeBits } from "../../../graph/ops/products/unpack-codes.ts";
import { dimsOf } from "../../../graph/shape.ts";
import { turned } from "../../../linalg/transposed.ts";
import { roundScale } from "../../../quant/storages/packed-codes.ts";
import { packRow } from "../../../quant/codes/pack-codes.ts";
import { plane } from "../../../quant/planes.ts";
import { widen } from "../../../quant/codes/half.ts";
import { STORAGES } from "../../../quant/storages.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import { bitsOf, outlineGptq } from "./gptq-settings.ts";
import type { LazyTensor } from "../../files/safetensors/safetensors-writer.ts";
import { type CodesForm, type FormWriting, lazyParts } from "./codes-form.ts";
import { findGptqTensors, transposedWords, WORD_BITS, zeroOffset } from "./gptq-tensors.ts";

/** The value of `group_size` for groups that are whole rows. */
const WHOLE_ROW = -1;

const writing: FormWriting = {
  to: "gptq",
  readBy: "transformers",
  isForAll: true,

  settings(modelName, sources, old) {
    const kinds = new Set(sources.map(({ storage }) => storage));
    const areRows = sources.every(({ groupSize, shape }) => groupSize === shape[1]);
    const groups = new Set(areRows ? [WHOLE_ROW] : sources.map(({ groupSize }) => groupSize));
    const unfit = sources.find(({ storage, shape }) =>
      shape.some((size) => (size * STORAGES[storage].blockBytes) % WORD_BITS !== 0),
    );
    const problem =
      kinds.size > 1 || groups.size > 1
        ? `matrices in ${[...kinds].join(", ")} with groups of ${[...groups].join(", ")}, expected one kind and one size of groups`
        : unfit
          ? `${unfit.storage} matrix "${unfit.name}" [${unfit.shape.join(", ")}], expected rows and columns whose codes fill words of ${WORD_BITS} bits`
          : null;
    if (problem !== null) {
      throw new UsageError("usage/quantization", `Cannot write model "${modelName}" as gptq: ${problem}`, {
        hint: "Write a folder in graft's own format with --to packed.",
      });
    }
    if (old !== null) return { ...old, quant_method: "gptq" };
    return {
      quant_method: "gptq",
      bits: STORAGES[[...kinds][0]!].blockBytes,
      group_size: [...groups][0],
      desc_act: false,
      sym: false,
      // Version 1 cannot express a zero of 0.
      checkpoint_format: "gptq_v2",
    };
  },

  toTensors({ name, shape, storage, groupSize, load }, settings) {
    const bits = STORAGES[storage].blockBytes as CodeBits;
    const [numRows = 0, numColumns = 0] = shape;
    const numGroups = numColumns / groupSize;
    const module = name.replace(/\.weight$/, "");
    const groupOf = Int32Array.from({ length: numColumns }, (_, i) => Math.floor(i / groupSize));
    const parts = lazyParts(load, [
      [
        `${module}.qweight`,
        "int32",
        [(numColumns * bits) / WORD_BITS, numRows],
        ({ planes }) => transposedWords(plane(planes, "codes", "uint8").data, numRows),
      ],
      [
        `${module}.qzeros`,
        "int32",
        [numGroups, (numRows * bits) / WORD_BITS],
        ({ planes }) => packZeros(name, plane(planes, "zero", "uint8"), bits, zeroOffset(settings)),
      ],
      [
        `${module}.scales`,
        "float16",
        [numGroups, numRows],
        ({ planes }) => turned(roundScale(widen(planes["scale"]!), "float16", name)),
      ],
    ]);
    const groupIndex = hostTensor("int32", [numColumns], groupOf) as HostTensor & LazyTensor;
    return [...parts, [`${module}.g_idx`, groupIndex]];
  },
};

export const gptqForm: CodesForm = {
  name: "gptq",
  // Older tools name no method, but always write whether inputs are reordered.
  claims: ({ quant_method: method, desc_act: order }) =>
    method === "gptq" || (method === undefined && order !== undefined),

  requireKnown: (path, settings) => void bitsOf(path, settings),

  find: findGptqTensors,
  outline: outlineGptq,

  writing,
};

/** Packs zeros [out, groups] into bit streams [groups, words]. @throws UsageError "usage/quantization" for a zero that has no code */
function packZeros(
  name: string,
  { shape, data }: HostTensor<"uint8">,
  bits: CodeBits,
  offset: number,
): HostTensor {
  const last = 2 ** bits - 1 + offset;
  const unfit = data.find((zero) => zero < offset || zero > last);
  if (unfit !== undefined) {
    const expected = `${offset} to ${last} in version ${offset === 0 ? 2 : 1} of the form`;
    throw new UsageError(
      "usage/quantization",
      `Cannot write "${name}" as gptq: one of its zeros is ${unfit}, expected ${expected}`,
      { hint: "Write a folder in graft's own format with --to packed." },
    );
  }
  const [numRows, numGroups] = dimsOf(shape, 2);
  const rowBytes = (numRows * bits) / 8;
  const packed = new Uint8Array(numGroups * rowBytes);
  const zeros = new Uint8Array(numRows);
  for (let group = 0; group < numGroups; group++) {
    for (let row = 0; row < numRows; row++) zeros[row] = data[row * numGroups + group]! - offset;
    packRow(zeros, bits, packed, group * rowBytes);
  }
  return hostTensor("int32", [numGroups, rowBytes / 4], new Int32Array(packed.buffer));
}
