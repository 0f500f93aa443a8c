/** @file The tests of one cell of the matrix: its model is opened once, and what they wrote is removed. */
import { rmSync } from "node:fs";
import { after, afterEach, describe, test } from "node:test";
import { findMethod } from "../../src/peft/methods.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { type Cell, nameOf } from "./cells.ts";
import { CHECKS, type Subject } from "./checks.ts";
import { FORMS, type FormedModel } from "./forms.ts";

/** How far parameters are moved from their start: what they are themselves must not vanish beside it. */
const DEVIATIONS: Readonly<Record<string, number>> = { peqa: 0.002 };
const DEVIATION = 0.05;

/** Declares the tests of a cell; `onEnd` is told the names of those that failed. */
export function describeCell(
  engine: Engine,
  folder: string,
  cell: Cell,
  onEnd: (failed: readonly string[]) => void = () => {},
): void {
  const { family, method, form } = cell;
  describe(nameOf(cell), () => {
    const path = `${folder}/${family}-${method}-${form.replaceAll(" ", "-")}`;
    const savedPath = `${path}-saved`;
    let opened: Promise<FormedModel> | null = null;
    const failed: string[] = [];
    afterEach((t) => {
      // The types of Node do not know it.
      if (!(t as unknown as { readonly passed: boolean }).passed) failed.push(t.name);
    });
    const open = (): Promise<FormedModel> => (opened ??= FORMS[form]!(path, { modelType: family }));
    after(async () => {
      await (await opened)?.checkpoint.close();
      for (const written of [path, savedPath]) rmSync(written, { recursive: true, force: true });
      onEnd(failed);
    });
    const adapted: Subject["adapted"] = async (options = {}) => {
      const model = await open();
      const adapter = await attachTo(model.base, findMethod(method), options);
      perturb(adapter, DEVIATIONS[method] ?? DEVIATION);
      return { ...model, adapter };
    };
    const subject: Subject = { engine, cell, savedPath, open, adapted };
    for (const [name, check] of Object.entries(CHECKS)) test(name, (t) => check(subject, t));
  });
}
