/**
 * @file The form of MXFP4 in which gpt-oss keeps its experts; only read. The matrices of all experts X.experts.Y are:
 *
 *   X.experts.Y_blocks U8 [E, out, in / 32, 16]   codes of 4 bits, two per byte, the even one in the low half
 *   X.experts.Y_scales U8 [E, out, in / 32]       powers of two
 *
 * The bytes of both are planes of the storage `mxfp4`, unchanged. All other tensors are floats.
 */
import { hasRank, sameShape } from "../../../graph/shape.ts";
import { storedBytes } from "../../../quant/storage.ts";
import { STORAGES } from "../../../quant/storages.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import { requireFew } from "../../files/safetensors/expert-stacks.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { damagedCodes, showPart } from "./codes-errors.ts";
import type { CodesForm, CodesTensor, HeldForm } from "./codes-form.ts";

const BLOCKS = /^(?<experts>.+\.experts)\.(?<matrix>\w+_proj)_blocks$/;
/** Matches the module of an expert's matrix. */
const EXPERT = /\.experts\.\d+\.\w+_proj$/;
const { blockSize } = STORAGES.mxfp4;
/** Bytes of the codes of a block. */
const CODE_BYTES = blockSize / 2;

const held = (shape: readonly number[]): HeldForm => ({
  storage: "mxfp4",
  sizeBytes: storedBytes(STORAGES.mxfp4, shape),
});

export const mxfp4Form: CodesForm = {
  name: "mxfp4",
  claims: ({ quant_method: method }) => method === "mxfp4",

  find: (_settings, weights) => {
    const stacks = [...weights.tensors.values()]
      .filter(({ name }) => BLOCKS.test(name))
      .map((range) => ({ range, numCuts: 1 }));
    requireFew(weights.path, stacks);
    return Promise.resolve(stacks.flatMap(({ range }) => findStack(weights, range.name)));
  },

  outline: () => (matrix) =>
    EXPERT.test(matrix.module) && matrix.numColumns % blockSize === 0 ? held(matrix.shape) : null,

  isInFile: true,
  writing: "read-only",
};

/** Finds the matrices of a stack. @throws FormatError "format/tensor" for parts that do not fit each other */
function findStack(weights: Safetensors, blocksKey: string): CodesTensor[] {
  const { experts, matrix } = BLOCKS.exec(blocksKey)!.groups as { experts: string; matrix: string };
  const scalesKey = `${experts}.${matrix}_scales`;
  const [blocks, scales] = [blocksKey, scalesKey].map((key) => weights.tensors.get(key));
  const shape = blocks?.shape ?? [];
  const fits =
    hasRank(shape, 4) &&
    shape.every((size) => size > 0) &&
    shape[3] === CODE_BYTES &&
    blocks?.fileDtype === "U8" &&
    scales?.fileDtype === "U8" &&
    sameShape(scales.shape, shape.slice(0, 3));
  if (!fits) {
    throw damagedCodes(
      weights.path,
      `${experts}.${matrix}`,
      `blocks ${showPart(blocks)}, scales ${showPart(scales)}`,
      `U8 [experts, outputs, inputs / ${blockSize}, ${CODE_BYTES}] and U8 [experts, outputs, inputs / ${blockSize}]`,
    );
  }
  const [numExperts, numRows, rowBlocks] = shape;
  const own = [numRows, rowBlocks * blockSize];
  const planeOf = async (key: string, index: number, width: number): Promise<HostTensor<"uint8">> => {
    const { data } = await weights.read(key, { index, numCuts: 1 });
    return hostTensor("uint8", [numRows, width], data as Uint8Array<ArrayBuffer>);
  };
  return Array.from({ length: numExperts }, (_, index) => ({
    info: { name: `${experts}.${index}.${matrix}.weight`, shape: own, ...held(own) },
    parts: [blocksKey, scalesKey],
    read: async () => ({
      storage: "mxfp4",
      shape: own,
      planes: {
        codes: await planeOf(blocksKey, index, rowBlocks * CODE_BYTES),
        scale: await planeOf(scalesKey, index, rowBlocks),
      },
    }),
  }));
}
