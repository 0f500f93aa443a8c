/** @file GGUF files of every decoder family, written by others: read as the model that they hold, and written the same. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type LoadedModel, loadModel, openGguf, writeModel } from "../../src/format/by-path.ts";
import { writeMergedModel } from "../../src/export/merged/merged-model.ts";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import { findFamily, openModel } from "../../src/models/families.ts";
import { hashSettings } from "../../src/models/base/base-settings.ts";
import { findDifference } from "../../src/models/same-model.ts";
import { full } from "../../src/peft/methods/full.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { packStored } from "../../src/quant/stored-tensor.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import { attachTo, batchFromRows, logitsOf, perturb } from "../passes/model-passes.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { assertLogits, goldenJson, goldenPath, goldenTensors } from "./golden-files.ts";

const engine = createEngine({ threads: 1 });
const root = temporaryFolder();
const allIds = goldenJson<Record<string, readonly (readonly number[])[]>>("gguf", "ids.json");
const changes = goldenJson<Record<string, object>>("gguf", "changes.json");
const allLogits = await goldenTensors("gguf", "logits.safetensors");

async function opened<T>(path: string, use: (model: LoadedModel) => Promise<T>): Promise<T> {
  const loaded = await loadModel(path);
  try {
    return await use(loaded);
  } finally {
    await loaded.checkpoint.close();
  }
}

const bytesOf = async ({ checkpoint }: LoadedModel, name: string): Promise<Buffer> =>
  Buffer.from(packStored(await checkpoint.read(name)));

/** The tensors of a golden model, as its family calls them. */
async function tensorsOf(golden: string): Promise<Map<string, HostTensor<"float32">>> {
  return await opened(goldenPath("models", golden), async ({ base }) => {
    const tensors = new Map<string, HostTensor<"float32">>();
    for (const name of base.model.tensors.keys()) tensors.set(name, await base.read(name));
    return tensors;
  });
}

/** A golden model as a folder, with the tokenizer of a file. */
async function writeFolder(
  name: string,
  golden: string,
  config: object,
  tokenizerOf: string,
): Promise<string> {
  const path = join(root, name);
  const { tokenizerFiles } = await opened(tokenizerOf, ({ checkpoint }) => Promise.resolve(checkpoint));
  await writeModel(path, {
    config: { ...config },
    generationConfig: null,
    tokenizerFiles,
    tensors: await tensorsOf(golden),
  });
  return path;
}

/** Writes the file of a folder's model. */
async function writtenAsGguf(folder: string): Promise<string> {
  const path = `${folder}.gguf`;
  await opened(folder, async ({ base, checkpoint }) => {
    const adapter = await attachTo(base, lora, {}, "all-linear"); // a fresh one changes nothing
    await writeMergedModel({ engine, base, checkpoint, adapter, path, to: "gguf", kind: "f32" });
  });
  return path;
}

test("Granite 4 without state-space layers is written as a file of Granite, as llama.cpp's converter does", async () => {
  const config = goldenJson<Record<string, unknown>>("models", "granitemoehybrid", "config.json");
  const folder = await writeFolder("granite-4", "granitemoehybrid", config, goldenPath("gguf", "llama.gguf"));
  const path = await writtenAsGguf(folder);
  const file = await openGguf(path);
  await file.close();
  assert.equal(file.metadata["general.architecture"], "granite");
  assert.ok(file.tensors.has("blk.1.ffn_gate.weight"));
  const batch = batchFromRows({ input_ids: [[3, 80, 7, 41, 15]] });
  const [inFolder, inFile] = [
    await opened(folder, ({ base }) => logitsOf(engine, base, null, batch)),
    await opened(path, ({ base }) => logitsOf(engine, base, null, batch)),
  ];
  const furthest = Math.max(...inFolder.map((value, i) => Math.abs(value - inFile[i]!)));
  assert.ok(furthest < 1e-5, `logits are ${furthest} apart`);
});

test("blocks that predict further tokens are passed over", async () => {
  const [own, ahead] = ["even", "ahead"].map((which) => goldenPath("gguf", `qwen3_5_text-${which}.gguf`));
  await opened(own!, async (model) => {
    await opened(ahead!, async (other) => {
      assert.equal(findDifference(model.base.model, other.base.model), null);
      assert.deepEqual([...other.checkpoint.tensors.keys()], [...model.checkpoint.tensors.keys()]);
    });
  });
});

test("a folder made of a file says what transformers would take another default for", async () => {
  const configOf = async (name: string): Promise<Record<string, unknown>> =>
    await opened(goldenPath("gguf", `${name}.gguf`), async ({ checkpoint }) => checkpoint.config);
  for (const name of ["deepseek_v2", "deepseek_v3"])
    assert.equal((await configOf(name))["num_key_value_heads"], 4, name);
  const { rope_parameters: rotation, rope_theta: theta } = await configOf("olmo3");
  const folder = goldenJson<Record<string, unknown>>("models", "olmo3", "config.json");
  assert.deepEqual(rotation, folder["rope_parameters"]);
  assert.equal(theta, undefined);
});

test("numbers that stand among the settings of a file are written there when they were trained", async () => {
  const [path, written] = [goldenPath("gguf", "apertus.gguf"), join(root, "apertus-trained.gguf")];
  const batch = batchFromRows({ input_ids: [[3, 80, 7, 41, 15]] });
  const expected = await opened(path, async ({ base, checkpoint }) => {
    const adapter = await attachTo(base, full);
    perturb(adapter, 0.05);
    await writeMergedModel({ engine, base, checkpoint, adapter, path: written, to: "gguf", kind: null });
    return await logitsOf(engine, base, adapter, batch);
  });
  const logits = await opened(written, ({ base }) => logitsOf(engine, base, null, batch));
  const furthest = Math.max(...logits.map((value, i) => Math.abs(value - expected[i]!)));
  assert.ok(furthest < 1e-5, `logits are ${furthest} apart`);
  const [before, after_] = [await openGguf(path), await openGguf(written)];
  await Promise.all([before.close(), after_.close()]);
  for (const [key, value] of Object.entries(before.metadata)) {
    const isTrained = key.startsWith("xielu.alpha");
    assert.equal(JSON.stringify(after_.metadata[key]) === JSON.stringify(value), !isTrained, key);
  }
});

for (const [name, ids] of Object.entries(allIds)) {
  describe(`GGUF file of ${name}`, () => {
    const folder = name.replace("-long", "");
    const path = goldenPath("gguf", `${name}.gguf`);
    const config = {
      ...goldenJson<Record<string, unknown>>("models", folder, "config.json"),
      ...changes[name],
    };
    // Norms that lie in the file as 1 + w come back rounded, and logarithms that lie there as -exp a.
    const isShifted = (tensor: string): boolean =>
      /^(gemma(?!4)|nemotron|qwen3_5)/.test(name) &&
      tensor.endsWith("norm.weight") &&
      !tensor.endsWith("linear_attn.norm.weight");
    const mask = ids.map((row) => row.map(() => 1));
    const batch = batchFromRows({ input_ids: ids, attention_mask: mask, labels: ids });
    const run = (base: BaseModel, adapter: Parameters<typeof logitsOf>[2]): Promise<Float32Array> =>
      logitsOf(engine, base, adapter, batch);

    test("it holds the tensors of the folder, bit for bit, and the same model", async () => {
      const tensors = await tensorsOf(folder);
      await opened(path, async (model) => {
        assert.equal(findDifference(openModel(config), model.base.model), null);
        assert.equal(hashSettings(openModel(config)), hashSettings(model.base.model));
        assert.deepEqual([...model.checkpoint.tensors.keys()].sort(), [...tensors.keys()].sort());
        for (const [tensor, { data: values }] of tensors) {
          const expected = isShifted(tensor)
            ? values.map((w) => Math.fround(w + 1) - 1)
            : tensor.endsWith("A_log")
              ? values.map((a) => Math.log(Math.fround(Math.exp(a))))
              : values;
          const found = await bytesOf(model, tensor);
          assert.ok(found.equals(Buffer.from(expected.buffer, 0, expected.byteLength)), tensor);
        }
      });
    });

    test("it gives the logits of transformers", async () => {
      const logits = await opened(path, ({ base }) => run(base, null));
      assertLogits(logits, allLogits.get(name)!, mask, 1e-5);
    });

    test("a folder's model is written as the same file", async () => {
      const source = await writeFolder(name, folder, config, path);
      const written = await writtenAsGguf(source);
      const [theirs, ours] = [await openGguf(path), await openGguf(written)];
      after(() => Promise.all([theirs.close(), ours.close()]));
      assert.deepEqual([...ours.tensors.keys()].sort(), [...theirs.tensors.keys()].sort());
      for (const [key, tensor] of theirs.tensors) {
        const own = ours.tensors.get(key)!;
        assert.deepEqual(own.shape, tensor.shape, key);
        const [a, b] = [await ours.read(own), await theirs.read(tensor)].map((stored) =>
          Buffer.from(packStored(stored)),
        );
        assert.ok(a!.equals(b!), key);
      }
      const { gguf } = findFamily(config);
      assert.ok(gguf !== "not-in-gguf");
      for (const [key, value] of Object.entries(theirs.metadata)) {
        if (key.startsWith(`${gguf.architecture}.`)) assert.deepEqual(ours.metadata[key], value, key);
      }
    });

    test("an adapter is merged into it, and its settings stay", async () => {
      const merged = join(root, `${name}-merged.gguf`);
      const expected = await opened(path, async ({ base, checkpoint }) => {
        const adapter = await attachTo(base, lora, {}, "all-linear");
        perturb(adapter, 0.05);
        await writeMergedModel({ engine, base, checkpoint, adapter, path: merged, to: "gguf", kind: null });
        return await run(base, adapter);
      });
      const logits = await opened(merged, ({ base }) => run(base, null));
      assertLogits(logits, expected, mask, 1e-4);
      assert.ok(logits.some((value, i) => Math.abs(value - allLogits.get(name)![i]!) > 1e-3));
      const [before, after_] = [await openGguf(path), await openGguf(merged)];
      assert.deepEqual(after_.metadata, before.metadata);
      await Promise.all([before.close(), after_.close()]);
    });
  });
}
