import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import { readAdapterFolder, writeAdapterFolder } from "../by-path.ts";
import { ADAPTER_FILES } from "./adapter-folder.ts";
import { writeSafetensors } from "../../../test/files/write-safetensors.ts";

const root = mkdtempSync(join(tmpdir(), "graft-adapter-"));
after(() => rmSync(root, { recursive: true }));

const KEY = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
const CONFIG = { r: 2, peft_type: "LORA", base_model_name_or_path: "a/b", inference_mode: false };
const tensor = (): HostTensor<"float32"> =>
  hostTensor("float32", [2, 3], new Float32Array([1, 2, 3, 4, 5, 6]));

test("an adapter folder comes back as it was written, with inference_mode true", async () => {
  const path = join(root, "there", "and-back");
  await writeAdapterFolder(path, { config: CONFIG, tensors: [[KEY, tensor()]] });
  assert.deepEqual(readdirSync(path), [...ADAPTER_FILES].sort());
  const { config, tensors } = await readAdapterFolder(path);
  assert.deepEqual(config, { ...CONFIG, inference_mode: true });
  assert.deepEqual([...tensors], [[KEY, tensor()]]);
  assert.equal(
    readFileSync(join(path, "adapter_config.json"), "utf8"),
    '{\n  "base_model_name_or_path": "a/b",\n  "inference_mode": true,\n  "peft_type": "LORA",\n  "r": 2\n}\n',
  );
  assert.match(
    readFileSync(join(path, "README.md"), "utf8"),
    /^---\nbase_model: "a\/b"\nlibrary_name: peft\n/,
  );
});

test("16-bit tensors are widened to float32 on reading and on writing", async () => {
  const path = join(root, "half");
  const half = hostTensor("float16", [2], new Uint16Array([0x3c00, 0xc000]));
  const wide = hostTensor("float32", [2], new Float32Array([1, -2]));
  await writeAdapterFolder(path, { config: CONFIG, tensors: [[KEY, half]] });
  assert.deepEqual((await readAdapterFolder(path)).tensors.get(KEY), wide);
  await writeSafetensors(join(path, "adapter_model.safetensors"), [[KEY, half]]);
  assert.deepEqual((await readAdapterFolder(path)).tensors.get(KEY), wide);
});

test("readAdapterFolder() refuses what is missing, old, broken, truncated or not a float", async () => {
  const path = join(root, "bad");
  mkdirSync(path);
  await assert.rejects(readAdapterFolder(join(root, "no")), {
    code: "format/file",
    message: /no": no such file, expected an adapter folder/,
  });
  writeFileSync(join(path, "adapter_config.json"), "{");
  await assert.rejects(readAdapterFolder(path), { code: "format/json", message: /adapter_config\.json/ });
  writeFileSync(join(path, "adapter_config.json"), "{}");
  await assert.rejects(readAdapterFolder(path), {
    code: "format/file",
    message: /adapter_model\.safetensors": no such file/,
  });
  writeFileSync(join(path, "adapter_model.bin"), "");
  await assert.rejects(readAdapterFolder(path), {
    code: "format/file",
    message: /only adapter_model\.bin, expected adapter_model\.safetensors/,
    hint: /save it again/,
  });
  const weights = join(path, "adapter_model.safetensors");
  await writeSafetensors(weights, [[KEY, hostTensor("int32", [1], new Int32Array(1))]]);
  await assert.rejects(readAdapterFolder(path), {
    code: "format/tensor",
    message: /I32, expected F32, F16, BF16/,
  });
  await writeSafetensors(weights, [[KEY, tensor()]]);
  truncateSync(weights, readFileSync(weights).length - 1);
  await assert.rejects(readAdapterFolder(path), { code: "format/file", message: /bytes, expected/ });
});

test("writeAdapterFolder() writes all files or none", async () => {
  const file = join(root, "file");
  writeFileSync(file, "");
  const parts = { config: CONFIG, tensors: [[KEY, tensor()] as const] };
  await assert.rejects(writeAdapterFolder(join(file, "out"), parts), { code: "failed/write" });

  const path = join(root, "half-way");
  mkdirSync(join(path, "adapter_config.json"), { recursive: true });
  await assert.rejects(writeAdapterFolder(path, parts), { code: "failed/write" });
  assert.deepEqual(readdirSync(path), ["adapter_config.json"]);
});
