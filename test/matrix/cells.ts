/** @file Every family with every method in every form, or a sample in which each comes. */
import { METHODS, findMethod } from "../../src/peft/methods.ts";
import { FAMILIES, openModel } from "../../src/models/families.ts";
import type { Compute } from "../../src/nn/compute.ts";
import { COMPUTES } from "../../src/nn/computes.ts";
import { f32 } from "../../src/nn/computes/f32.ts";
import { fitsModel } from "../passes/model-passes.ts";
import { TINY_CONFIGS } from "../tiny/configs.ts";
import { FORMS } from "./forms.ts";

/** One family with one method in one form. */
export interface Cell {
  readonly family: string;
  readonly method: string;
  readonly form: string;
  /** Arithmetics that are held against float32. */
  readonly computes: readonly Compute[];
}

const ARITHMETICS = Object.values<Compute>(COMPUTES).filter((each) => each !== f32);

/** All cells, or (one rule, no chance) each family once, so that methods, forms and arithmetics come round. */
export function cells(which: "all" | "sample"): readonly Cell[] {
  const [families, methods, forms] = [
    FAMILIES.map(({ modelType }) => modelType),
    METHODS.map(({ name }) => name),
    Object.keys(FORMS),
  ];
  const fitting = (family: string, names: readonly string[]): readonly string[] => {
    const model = openModel(TINY_CONFIGS[family]!);
    return names.filter((name) => fitsModel(findMethod(name), model));
  };
  if (which === "sample") {
    return families.map((family, i) => ({
      family,
      // The one whose turn it is, or the next that fits.
      method: fitting(family, [...methods.slice(i % methods.length), ...methods])[0]!,
      form: forms[i % forms.length]!,
      computes: [ARITHMETICS[i % ARITHMETICS.length]!],
    }));
  }
  return families.flatMap((family) =>
    fitting(family, methods).flatMap((method) =>
      forms.map((form) => ({ family, method, form, computes: ARITHMETICS })),
    ),
  );
}

/** The name of a cell. */
export function nameOf({ family, method, form }: Cell): string {
  return `${method} on ${family}, ${form}`;
}
