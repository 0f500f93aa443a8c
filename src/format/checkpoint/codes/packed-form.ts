/**
 * @file Graft's own form. A matrix M is kept as M.u2, M.u3, M.u4 or M.u8, uint8 [out, bytes], each row a bit stream with the lowest
 * bit of each byte first; M.scale, float32, and M.zero, uint8, [out, groups].  M = scale · (code − zero)
 *
 * Scales are not rounded: a model that is read computes the same as the one that was written, bit for bit.
 */
import { FormatError } from "../../../errors.ts";
import { packedBytes, type CodeBits } from "../../../graph/ops/products/unpack-codes.ts";
import { STORAGES, type StorageName } from "../../../quant/storages.ts";
import { widen } from "../../../quant/codes/half.ts";
import type { Safetensors } from "../../files/safetensors/safetensors.ts";
import { showPart } from "./codes-errors.ts";
import { type CodesForm, type CodesTensor, type FormWriting, lazyParts } from "./codes-form.ts";

const METHOD = "graft";
const ENDING = /^(.*\.weight)\.(u[2348])$/;

const bitsOf = (storage: StorageName): CodeBits => STORAGES[storage].blockBytes as CodeBits;

const writing: FormWriting = {
  to: "packed",
  readBy: "graft",
  isForAll: false,
  settings: () => ({ quant_method: METHOD }),

  toTensors({ name, shape, storage, groupSize, load }) {
    const [numRows = 0, numColumns = 0] = shape;
    const groups = [numRows, numColumns / groupSize];
    const codesShape = [numRows, packedBytes(bitsOf(storage), numColumns)];
    return lazyParts(load, [
      [`${name}.scale`, "float32", groups, ({ planes }) => widen(planes["scale"]!)],
      [`${name}.${storage}`, "uint8", codesShape, ({ planes }) => planes["codes"]!],
      [`${name}.zero`, "uint8", groups, ({ planes }) => planes["zero"]!],
    ]);
  },
};

export const packedForm: CodesForm = {
  name: "packed",
  claims: ({ quant_method: method }) => method === METHOD,

  find: (_settings, weights) =>
    Promise.resolve(
      [...weights.tensors.keys()].flatMap((key) => {
        const [, name, storage] = ENDING.exec(key) ?? [];
        return name === undefined ? [] : [findOne(weights, key, name, storage as StorageName)];
      }),
    ),

  writing,
};

/** @throws FormatError "format/tensor" when parts are missing or of other sizes */
function findOne(weights: Safetensors, key: string, name: string, storage: StorageName): CodesTensor {
  const parts = [key, `${name}.scale`, `${name}.zero`];
  const [codes, scale, zero] = parts.map((part) => weights.tensors.get(part));
  const [numRows = 0, rowBytes = 0] = codes?.shape ?? [];
  const numColumns = (rowBytes * 8) / bitsOf(storage);
  const groupSize = numColumns / (scale?.shape[1] ?? 0);
  const fits =
    codes?.dtype === "uint8" &&
    scale?.dtype === "float32" &&
    zero?.dtype === "uint8" &&
    [scale, zero].every(
      ({ shape }) => shape.length === 2 && shape[0] === numRows && shape[1] === scale.shape[1],
    ) &&
    Number.isInteger(groupSize);
  if (!fits) {
    const found = [codes, scale, zero].map(showPart);
    throw new FormatError(
      "format/tensor",
      `Cannot read tensor "${name}" of "${weights.path}": codes ${found[0]}, scale ${found[1]}, zero ${found[2]}, expected U8 [rows, bytes], F32 and U8 [rows, groups]`,
      { hint: "The file is damaged or was modified: write the model again with graft merge --to packed." },
    );
  }
  const sizeBytes = [codes, scale, zero].reduce((sum, part) => sum + part.sizeBytes, 0);
  const shape = [numRows, numColumns];
  return {
    info: { name, shape, storage, groupSize, sizeBytes },
    parts,
    read: async () => ({
      storage,
      shape,
      planes: {
        codes: await weights.read(key),
        scale: await weights.read(`${name}.scale`),
        zero: await weights.read(`${name}.zero`),
      },
    }),
  };
}
