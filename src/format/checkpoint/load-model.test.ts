/** @file Weights that a file did not give once, where they are held after they are first read. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { goldenPath } from "../../../test/golden/golden-files.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { memoryFolder } from "../files/memory-folder.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openHfCheckpoint } from "./hf-folder.ts";
import { loadWeights } from "./load-model.ts";
import { withQuantizedBase } from "./quantized-base.ts";

const { checkpoint } = await openUntilEnd(await writeTinyModel(temporaryFolder()));
const NAME = "model.layers.0.mlp.up_proj.weight";

/** A checkpoint each of whose tensors cannot be read the first time. */
function failingOnce(whole: Checkpoint): Checkpoint {
  const failed = new Set<string>();
  return {
    ...whole,
    view: () => null,
    readInto: async (name, into, start) => {
      if (failed.has(name)) return await whole.readInto(name, into, start);
      failed.add(name);
      throw new Error("the disk is away");
    },
  };
}

test("weights that are held in few bits are read again after a failure", async () => {
  const base = await loadWeights("model", withQuantizedBase(failingOnce(checkpoint), "q8_0"));
  await assert.rejects(() => base.values(NAME), /the disk is away/);
  const { data } = await base.values(NAME);
  assert.ok(data.some((value) => value !== 0));
});

test("codes of a folder are held once their values were read, and read again after a failure", async () => {
  const folder = memoryFolder("model", {
    "config.json": JSON.stringify({ model_type: "llama", quantization_config: { load_in_8bit: true } }),
    "model.safetensors": readFileSync(goldenPath("codes", "codes.safetensors")),
  });
  let [isAway, numReads] = [false, 0];
  const watched: typeof folder = {
    ...folder,
    async open(name) {
      const source = await folder.open(name);
      return {
        ...source,
        async read(offset, numBytes) {
          if (isAway) throw new Error("the disk is away");
          numReads++;
          return await source.read(offset, numBytes);
        },
      };
    },
  };
  const opened = await openHfCheckpoint(watched, await folder.names());
  const values = new Float32Array(24 * 128);
  isAway = true;
  await assert.rejects(() => opened.readInto("eight.weight", values), /the disk is away/);
  isAway = false;
  await opened.readInto("eight.weight", values);
  assert.ok(values.some((value) => value !== 0));
  const numBefore = numReads;
  const rest = new Float32Array(128);
  await opened.readInto("eight.weight", rest, 23 * 128);
  assert.deepEqual(rest, values.slice(23 * 128));
  assert.equal(numReads, numBefore);
  // Matrices of floats are not held: the system's cache keeps what is used often.
  const floats = new Float32Array(10);
  await opened.readInto("awq.expected", floats);
  const inCodes = [...opened.tensors.values()].filter(
    ({ storage }) => storage !== "f32" && storage !== "f16" && storage !== "bf16",
  );
  assert.equal(
    opened.heldBytes,
    inCodes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  );
  assert.ok(opened.heldBytes > 0);
  await opened.close();
});

test("a model whose configuration names a head that graft does not know is told of", async () => {
  for (const [name, isTold] of [
    ["LlamaForCausalLM", false],
    ["LlamaForTokenClassification", true],
  ] as const) {
    const config = { ...checkpoint.config, architectures: [name] };
    const notes = (await loadWeights("model", { ...checkpoint, config })).takeNotes();
    const note = `Model "model" is a ${name} by its config.json, a kind that graft does not know: it is treated as a model for generating text`;
    assert.deepEqual(notes, isTold ? [note] : []);
  }
});
