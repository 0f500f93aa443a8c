import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadModel } from "../format/checkpoint/load-model.ts";
import type { ProgramSpec } from "../graph/program.ts";
import { lora } from "../peft/methods/lora.ts";
import { attach } from "../peft/attach.ts";
import { Random } from "../random.ts";
import { BufferPool } from "../runtime/buffer-pool.ts";
import { createOrtEngine } from "../runtime/ort-node.ts";
import type { Engine } from "../runtime/engine.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny-model.ts";
import { BlockStack } from "./block-stack.ts";
import { Generator } from "./generator.ts";

const path = await writeTinyModel(join(temporaryFolder(), "deep"), { config: { num_hidden_layers: 12 } });

async function open(keepWidened: boolean) {
  const { base, checkpoint } = await loadModel(path, { keepWidened });
  after(() => checkpoint.close());
  return base;
}

/** An engine that also remembers what it compiled. */
function recording(): { engine: Engine; specs: ProgramSpec[] } {
  const engine = createOrtEngine({ threads: 1 });
  const specs: ProgramSpec[] = [];
  const compile: Engine["compile"] = (spec, options) => {
    specs.push(spec);
    return engine.compile(spec, options);
  };
  return { engine: { ...engine, compile }, specs };
}

const countBlocks = ({ inputs }: ProgramSpec): number =>
  Object.keys(inputs).filter((name) => name.endsWith(".past_key")).length;

test("blocks whose weights stay in memory run in groups of up to ten, and equal groups share a program", async () => {
  const { engine, specs } = recording();
  const stack = await BlockStack.create(engine, await open(true), null, new BufferPool());
  assert.deepEqual(specs.map(countBlocks), [6]);
  await stack.release();
});

test("blocks that take turns in memory run one by one", async () => {
  const { engine, specs } = recording();
  const stack = await BlockStack.create(engine, await open(false), null, new BufferPool());
  assert.deepEqual(specs.map(countBlocks), [1]);
  await stack.release();
});

test("an adapter on some layers makes programs of its own", async () => {
  const base = await open(true);
  const targets = { modules: ["q_proj"], exclude: [], layers: [3] };
  const adapter = await attach(base, { method: lora, options: { rank: 2 }, targets }, new Random(1));
  const { engine, specs } = recording();
  const stack = await BlockStack.create(engine, base, adapter, new BufferPool());
  assert.deepEqual(specs.map(countBlocks), [6, 6]);
  const ofAdapter = specs.map(({ inputs }) => Object.keys(inputs).filter((name) => name.includes("lora_")));
  assert.deepEqual(ofAdapter, [["3.self_attn.q_proj.lora_A.weight", "3.self_attn.q_proj.lora_B.weight"], []]);
  await stack.release();
});

test("groups and single blocks write the same", async () => {
  const texts: (readonly number[])[] = [];
  for (const keepWidened of [true, false]) {
    const base = await open(keepWidened);
    const generator = await Generator.create({
      engine: createOrtEngine({ threads: 1 }),
      base,
      adapter: null,
    });
    texts.push((await generator.complete({ promptIds: [1, 2, 3], maxNewTokens: 12 })).ids);
    await generator.release();
  }
  assert.equal(texts[0]?.length, 12);
  assert.deepEqual(texts[0], texts[1]);
});
