import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { adapterFiles } from "../../src/format/adapters/adapter.ts";
import { readAdapter } from "../../src/format/by-path.ts";
import { writeFolderAtomic } from "../../src/format/files/atomic.ts";
import { readJson } from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { vera } from "../../src/peft/methods/vera.ts";
import { attachTo } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const folder = temporaryFolder();
const { base, checkpoint } = await openUntilEnd(await writeTinyModel(`${folder}/model`));

function matrices({ shared }: Adapter): Float32Array[] {
  return ["vera_A", "vera_B"].map((name) => shared.get(name)?.data as Float32Array);
}

describe("VeRA's shared matrices", () => {
  test("depend on the projection seed alone, not on the seed of the run", async () => {
    const first = matrices(await attachTo(base, vera, { rank: 3 }, null, 1));
    assert.deepEqual(matrices(await attachTo(base, vera, { rank: 3 }, null, 2)), first);
    assert.notDeepEqual(matrices(await attachTo(base, vera, { rank: 3, projectionSeed: 1 }, null, 1)), first);
  });

  test("are as wide as the largest of the chosen sites", async () => {
    const shapes = async (modules: string[]): Promise<(readonly number[] | undefined)[]> => {
      const { shared } = await attachTo(base, vera, { rank: 3 }, modules);
      return ["vera_A", "vera_B"].map((name) => shared.get(name)?.shape);
    };
    // Width 32, 48 inside the feed-forward part, 16 for keys and values.
    assert.deepEqual(await shapes(["k_proj", "v_proj"]), [
      [3, 32],
      [16, 3],
    ]);
    assert.deepEqual(await shapes(["k_proj", "down_proj"]), [
      [3, 48],
      [32, 3],
    ]);
    assert.deepEqual(await shapes(["q_proj", "up_proj", "down_proj"]), [
      [3, 48],
      [48, 3],
    ]);
  });

  test("are in the file, once, and come from there", async () => {
    const adapter = await attachTo(base, vera, { rank: 3 });
    for (const matrix of matrices(adapter)) matrix.fill(0.25);
    const path = `${folder}/saved`;
    await writeFolderAtomic(path, adapterFiles(adapter, { base, checkpoint, chatTemplateHash: null }));
    const { adapter: read } = await readAdapter(path, base);
    for (const matrix of matrices(read)) assert.ok(matrix.every((value) => value === 0.25));
  });

  test("that a file leaves out are asked for", async () => {
    const adapter = await attachTo(base, vera, { rank: 3 });
    const path = `${folder}/without`;
    await writeFolderAtomic(path, adapterFiles(adapter, { base, checkpoint, chatTemplateHash: null }));
    const config = { ...(await readJson(`${path}/adapter_config.json`)), save_projection: false };
    writeFileSync(`${path}/adapter_config.json`, JSON.stringify(config));
    await assert.rejects(readAdapter(path, base), {
      code: "usage/adapter",
      message: /save_projection is false/,
      hint: /set save_projection to true/,
    });
  });
});
