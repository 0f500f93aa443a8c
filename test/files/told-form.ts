/** @file That settings alone tell how matrices in codes are held, as their files do. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { openOutlined } from "../../src/format/by-path.ts";
import type { Checkpoint } from "../../src/format/checkpoint/checkpoint.ts";
import { findForm } from "../../src/format/checkpoint/codes/codes-forms.ts";
import { readJson } from "../../src/format/files/folder.ts";
import { nodeFolder } from "../../src/format/files/node-folder.ts";

/** Checks a folder of matrices of blocks. */
export async function assertFormTold({ path, tensors }: Checkpoint): Promise<void> {
  const folder = nodeFolder(path);
  const found = await findForm(folder, await readJson(folder, "config.json"));
  assert.ok(found);
  const outline = found.form.outline?.(path, found.settings);
  assert.ok(outline);
  for (const { name, shape, ...held } of tensors.values()) {
    const module = name.replace(/\.weight$/, "");
    const matrix = { module, shape, numColumns: shape[1]!, role: "weight", layer: 0 } as const;
    assert.deepEqual(outline(matrix), held, name);
  }
}

/** Checks the folder of a model, with one where its settings alone will lie. */
export async function assertModelTold(whole: Checkpoint, outlineFolder: string): Promise<void> {
  mkdirSync(outlineFolder);
  for (const name of ["config.json", "quantize_config.json"]) {
    if (existsSync(join(whole.path, name))) copyFileSync(join(whole.path, name), join(outlineFolder, name));
  }
  const told = await openOutlined(outlineFolder);
  const { format, heldBytes, config } = whole;
  assert.deepEqual([told.format, told.heldBytes, told.config], [format, heldBytes, config]);
  assert.equal(heldBytes > 0, whole.quantization?.["quant_method"] !== "mxfp4");
  assert.deepEqual([...told.tensors.keys()].toSorted(), [...whole.tensors.keys()].toSorted());
  for (const [name, info] of whole.tensors) assert.deepEqual(told.tensors.get(name), info, name);
}
