import assert from "node:assert/strict";
import { test } from "node:test";
import { readRopeScaling, ropeSettings } from "./gguf-rope.ts";

/** A file with these settings and nothing else. */
function fileOf(settings: Readonly<Record<string, number | string>>) {
  const metadata = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`llama.rope.scaling.${key}`, value]),
  );
  return { path: "tiny.gguf", metadata, tensors: new Map(), read: () => Promise.reject(new Error("none")) };
}

test("an own factor of YaRN's attention is written as converters write it and as llama.cpp reads it", async () => {
  const usual = 0.1 * Math.log(4) + 1;
  const scaling = { kind: "yarn", factor: 4, betaFast: 32, betaSlow: 1, originalMaxPositions: 64 } as const;
  const written = (attentionFactor: number): Record<string, unknown> =>
    ropeSettings(
      { theta: 100, width: 8, scaling: { ...scaling, attentionFactor, truncate: true } },
      { architecture: "llama" },
    );
  assert.deepEqual(written(1.3)["rope.scaling.yarn_attn_factor"], { type: "float32", value: 1.3 });
  assert.deepEqual(written(1.3)["rope.scaling.attn_factor"], { type: "float32", value: 1.3 / usual });
  assert.ok(!("rope.scaling.attn_factor" in written(usual)));

  const read = async (settings: Record<string, number | string>): Promise<unknown> =>
    (
      await readRopeScaling(fileOf({ type: "yarn", factor: 4, ...settings }), { architecture: "llama" }, 100)
    )?.["attention_factor"];
  assert.equal(await read({ yarn_attn_factor: 1.3, attn_factor: 1.3 / usual }), 1.3);
  assert.equal(await read({ attn_factor: 0.5 }), usual / 2);
  assert.equal(await read({ yarn_attn_factor: 0.9, attn_factor: 0.9 / usual }), 0.9);
  // `attn_factor` of DeepSeek-R1-0528-Qwen3-8B, which transformers and llama.cpp pass over.
  assert.equal(await read({ yarn_attn_factor: 0.8782488562869419 }), undefined);
  assert.equal(await read({}), undefined);
  await assert.rejects(read({ type: "linear", attn_factor: 0.5 }), /attn_factor is 0.5/);
});
