/** @file Multiplies factors of a configuration into the tensors of a GGUF file, for factors that the format has no settings for. */
import type { Folding, GgufRules, RowFactors } from "../../../models/config/gguf-rules.ts";
import { Model } from "../../../models/model.ts";
import { lookup } from "../../files/lookup.ts";

/** Returns the factors of a model, and the model without them in its settings; null: its files have no such factors. */
export function foldingOf(
  model: Model,
  { folding }: GgufRules,
  hasHead: boolean,
): { readonly factors: Folding["factors"]; readonly model: Model } | null {
  const found = folding?.(model.settings, hasHead);
  return found
    ? { factors: found.factors, model: new Model(model.family, { ...model.raw, ...found.rest }) }
    : null;
}

/** The factors of a tensor, by its name in files; null: it has none, or all are 1. */
export function factorsOf(factors: Folding["factors"], ggufName: string): RowFactors | null {
  const found = lookup(factors, ggufName.replace(/^blk\.\d+\./, "").replace(/\.(weight|bias)$/, ""));
  return found?.some(({ factor }) => factor !== 1) ? found : null;
}

/** Multiplies rows by their factors, or divides them, in place. */
export function scaleRows(
  data: Float32Array,
  width: number,
  factors: RowFactors,
  which: "multiply" | "divide" = "multiply",
): void {
  let at = 0;
  for (const { numRows, factor } of factors) {
    const end = numRows === null ? data.length : at + numRows * width;
    const by = which === "multiply" ? factor : 1 / factor;
    for (; at < end; at++) data[at]! *= by;
  }
}
