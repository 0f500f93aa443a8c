import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { loadModel } from "../../format/by-path.ts";
import { BaseModel } from "../../models/base/base-model.ts";
import { attach } from "../attach.ts";
import { findMethod } from "../methods.ts";
import { Random } from "../../random.ts";

test("weights that only start values are made of are read into one memory, and not left as pages of a mapped file", async () => {
  const { base, checkpoint } = await loadModel(await writeTinyModel(join(temporaryFolder(), "model")));
  const viewed: string[] = [];
  const view: BaseModel["source"]["view"] = (name) => {
    viewed.push(name);
    return base.source.view(name);
  };
  const memories: ArrayBufferLike[] = [];
  const readInto: BaseModel["source"]["readInto"] = (name, into, start) => {
    memories.push(into.buffer);
    return base.source.readInto(name, into, start);
  };
  const watched = new BaseModel(base.name, base.model, { ...base.source, view, readInto });
  const adapter = await attach(watched, { method: findMethod("dora"), options: {} }, new Random(1));
  await checkpoint.close();
  const lengths = adapter.tensor("model.layers.0.self_attn.q_proj.lora_magnitude_vector");
  assert.ok(lengths?.data.every((length) => length > 0));
  assert.deepEqual(viewed, []);
  // It has grown in the first block to what the largest weight needs.
  const ofLastBlock = memories.slice(memories.length / 2);
  assert.ok(ofLastBlock.length > 1);
  assert.equal(new Set(ofLastBlock).size, 1);
});
