/** @file Golden matrices in forms of codes, and the model folders that tests make of them. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { GraftError } from "../../src/errors.ts";
import { openCheckpoint, openSafetensors } from "../../src/format/by-path.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { renameBytes } from "../files/rename-bytes.ts";
import { writeSafetensors } from "../files/write-safetensors.ts";
import { goldenPath } from "./golden-files.ts";

export type Tensors = Record<string, HostTensor>;

/** What is refused: its name, the error's code, settings of quantization, tensors, and what the message says. */
export type CodesRefusal = readonly [string, string, object, () => Tensors, RegExp];

/** Reads a golden file, and says how folders below `root` are made of its matrices. */
export async function openGoldenCodes(root: string, name: string) {
  const golden: Tensors = {};
  /** Names of the tensors that are written as floats of 8 bits. */
  const floats8 = new Set<string>();
  const file = await openSafetensors(goldenPath("codes", name));
  for (const [tensor, { fileDtype }] of file.tensors) {
    golden[tensor] = await file.read(tensor);
    if (fileDtype === "F8_E4M3") floats8.add(tensor);
  }
  await file.close();

  /** The parts of one golden matrix. */
  const partsOf = (matrix: string): Tensors =>
    Object.fromEntries(
      Object.entries(golden).filter(([key]) => key.startsWith(`${matrix}.`) && !key.endsWith(".expected")),
    );

  /** Writes a folder of these tensors. */
  const write = async (
    folder: string,
    quantization: object,
    tensors: Tensors,
    config: object = {},
  ): Promise<string> => {
    const path = join(root, folder);
    mkdirSync(path);
    const all = { model_type: "llama", ...config, quantization_config: quantization };
    writeFileSync(join(path, "config.json"), JSON.stringify(all));
    const weights = join(path, "model.safetensors");
    await writeSafetensors(weights, Object.entries(tensors));
    renameBytes(
      weights,
      Object.keys(tensors).filter((key) => floats8.has(key)),
    );
    return path;
  };

  const testRefusals = (cases: readonly CodesRefusal[]): void =>
    void describe("what cannot be read is refused by name", () => {
      for (const [i, [what, code, quantization, tensors, message]] of cases.entries()) {
        test(what, async () => {
          const path = await write(`refused-${i}`, quantization, tensors());
          await assert.rejects(openCheckpoint(path), (error: unknown) => {
            assert.ok(error instanceof GraftError);
            assert.equal(error.code, code);
            assert.match(error.message, message);
            assert.ok(error.hint);
            return true;
          });
        });
      }
    });

  return { golden, floats8, partsOf, write, testRefusals };
}
