import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { readAdapter, readAdapterFolder } from "../../src/format/by-path.ts";
import { readJson } from "../../src/format/by-path.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { vera } from "../../src/peft/methods/vera.ts";
import { attachTo } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { saveAdapter } from "../files/save-adapter.ts";

/**
 * First and last numbers of A [3, 48] and B [32, 3]: with g = torch.Generator("cpu").manual_seed(7),
 * peft.tuners.vera.model._kaiming_init((3, 48), generator=g), then ((32, 3), generator=g). peft 0.21.2, torch 2.13.0.
 */
const OF_PEFT = [
  0.024693964049220085, -0.2129783034324646, 0.11257966607809067, 0.0454840362071991, -0.11685348302125931,
  -1.3129075765609741, -0.9916450381278992, 0.07658588141202927, 1.1691011190414429, -0.5406805276870728,
];

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
    await saveAdapter(path, adapter, { base, checkpoint });
    const { adapter: read } = await readAdapter(path, base);
    for (const matrix of matrices(read)) assert.ok(matrix.every((value) => value === 0.25));
  });

  test("are those that peft draws of the same seed", async () => {
    const { shared } = await attachTo(base, vera, { rank: 3, projectionSeed: 7 }, ["k_proj", "down_proj"]);
    const [a, b] = ["vera_A", "vera_B"].map((name) => shared.get(name)?.data as Float32Array);
    const numbers = [...a!.subarray(0, 3), ...a!.subarray(-2), ...b!.subarray(0, 3), ...b!.subarray(-2)];
    assert.deepEqual(numbers, OF_PEFT.map(Math.fround));
  });

  test("that a file leaves out are drawn again", async () => {
    const adapter = await attachTo(base, vera, { rank: 3, projectionSeed: 5, saveProjection: false });
    const path = `${folder}/without`;
    await saveAdapter(path, adapter, { base, checkpoint });
    const { config, tensors } = await readAdapterFolder(path);
    assert.deepEqual([config["save_projection"], config["projection_prng_key"]], [false, 5]);
    assert.ok([...tensors.keys()].every((name) => name.includes("vera_lambda")));
    const { adapter: read } = await readAdapter(path, base);
    assert.deepEqual(matrices(read), matrices(adapter));
  });

  test("are missing where a file should have them", async () => {
    const adapter = await attachTo(base, vera, { rank: 3, saveProjection: false });
    const path = `${folder}/missing`;
    await saveAdapter(path, adapter, { base, checkpoint });
    const config = { ...(await readJson(`${path}/adapter_config.json`)), save_projection: true };
    writeFileSync(`${path}/adapter_config.json`, JSON.stringify(config));
    await assert.rejects(readAdapter(path, base), {
      code: "format/tensor",
      message: /missing base_model.vera_A/,
    });
  });
});
