/** @file Pairings: ways in which a tensor of a folder is divided into two tensors of a GGUF file. */
import { numElements } from "../../../graph/shape.ts";
import type { GgufPart } from "../../../models/config/gguf-rules.ts";
import type { StoredTensor } from "../../../quant/stored-tensor.ts";
import { joinInTurn, readInTurn } from "../alternate-rows.ts";
import { type Form, joinedForm, joinHalves, readHalves } from "../halves.ts";
import { joinedHeadsForm, joinHeads } from "../key-value-heads.ts";

/** A way to divide a tensor in two. */
export interface Pairing {
  readonly first: GgufPart;
  readonly second: GgufPart;
  /** Shape and storage of both together. @throws RangeError for parts that do not fit */
  readonly formOf: (first: Form, second: Form) => Form;
  readonly join: (first: StoredTensor, second: StoredTensor) => StoredTensor;
  /** Like `readInTurn`; null: both parts have to be joined first. */
  readonly readInto: typeof readInTurn | null;
}

export const PAIRINGS: readonly Pairing[] = [
  {
    first: "first-half",
    second: "second-half",
    formOf: joinedForm,
    join: joinHalves,
    readInto: async ({ shape, start }, into, read) =>
      await readHalves({ size: numElements(shape), start }, into, read),
  },
  {
    first: "key-heads",
    second: "value-heads",
    formOf: joinedHeadsForm,
    join: joinHeads,
    readInto: null,
  },
  {
    first: "stacked-even-rows",
    second: "stacked-odd-rows",
    formOf: joinedForm,
    join: joinInTurn,
    readInto: readInTurn,
  },
];
