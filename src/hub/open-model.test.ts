import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildTinyGguf } from "../../test/tiny/gguf.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { withQuantizedBase } from "../format/checkpoint/quantized-base.ts";
import { entryFolder, modelsFolderOf } from "./models-folder.ts";
import { loadModel, openCheckpoint } from "./open-model.ts";
import { openOperandCache } from "./operands/operand-cache.ts";

const home = temporaryFolder();
const env = { GRAFT_HOME: home };
const path = await writeTinyModel(entryFolder(modelsFolderOf(env), "o/tiny", null));

test("a model is opened by its name as by its path, and called what it was asked for as", async () => {
  for (const name of ["o/tiny", path]) {
    const { base, checkpoint } = await loadModel(name, { env });
    assert.deepEqual([base.name, checkpoint.path, base.model.modelType], [name, path, "llama"]);
    await checkpoint.close();
    const opened = await openCheckpoint(name, { env });
    assert.deepEqual([...opened.tensors.keys()], [...checkpoint.tensors.keys()]);
    await opened.close();
  }
});

test("what is kept of a GGUF file goes with it, but not where its matrices are rounded anew", async () => {
  const file = join(home, "tiny.gguf");
  writeFileSync(file, buildTinyGguf());
  const hasOperands = async (name: string, more: Record<string, string> = {}): Promise<boolean> => {
    const opened = await openCheckpoint(name, { env: { ...env, ...more } });
    await opened.close();
    return opened.operands !== undefined;
  };
  const found = [
    await hasOperands(file),
    await hasOperands(file, { GRAFT_OPERANDS: "off" }),
    await hasOperands(path),
  ];
  assert.deepEqual(found, [process.platform !== "win32", false, false]);
  const opened = await openCheckpoint(path, { env });
  const operands = await openOperandCache(file, env);
  assert.equal(withQuantizedBase({ ...opened, operands }, "q8_0").operands, undefined);
  await opened.close();
});

test("what is no model is refused as graft pull refuses it", async () => {
  await assert.rejects(loadModel(join(home, "none"), { env }), {
    code: "format/file",
    message: /Cannot open model ".*none": nothing at/,
  });
  await assert.rejects(openCheckpoint("o/none", { env, sources: [] }), {
    code: "source/unreachable",
    message: /Cannot find model "o\/none": no source has it/,
  });
});
