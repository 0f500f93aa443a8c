import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { ProgramSpec } from "../../graph/program.ts";
import { BaseModel } from "../../models/base/base-model.ts";
import { NO_ADAPTER } from "../../peft/adapter-view.ts";
import { lora } from "../../peft/methods/lora.ts";
import { attach } from "../../peft/attach.ts";
import { Random } from "../../random.ts";
import { Session } from "../../run/session.ts";
import type { Residency } from "../../run/weights/weights.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import type { Engine } from "../../runtime/engine.ts";
import { failEachProgram } from "../../../test/passes/failing-programs.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { BlockStack } from "./block-stack.ts";
import { Generator } from "../generation/generator.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";

const path = await writeTinyModel(join(temporaryFolder(), "deep"), { config: { num_hidden_layers: 12 } });

const { base } = await openUntilEnd(path);

/** A session whose engine also remembers what it compiled. */
function recording(residency: Residency): { session: Session; specs: ProgramSpec[] } {
  const engine = createEngine({ threads: 1 });
  const specs: ProgramSpec[] = [];
  const compile: Engine["compile"] = (spec, options) => {
    specs.push(spec);
    return engine.compile(spec, options);
  };
  return { session: new Session({ ...engine, compile }, base, residency), specs };
}

const countBlocks = ({ inputs }: ProgramSpec): number =>
  Object.keys(inputs).filter((name) => name.endsWith(".past_key")).length;

test("blocks whose weights stay in memory run in groups, and equal groups share a program", async () => {
  const { session, specs } = recording("float32");
  await BlockStack.create(session, NO_ADAPTER);
  assert.deepEqual(specs.map(countBlocks), [6]);
  await session.release();
});

test("a stack is there while its programs are being compiled", async () => {
  const engine = createEngine({ threads: 1 });
  const waiting = Promise.withResolvers<void>();
  const compile: Engine["compile"] = async (spec, options) => {
    await waiting.promise;
    return await engine.compile(spec, options);
  };
  const session = new Session({ ...engine, compile }, base, "float32");
  const stack = await BlockStack.create(session, NO_ADAPTER);
  let isCompiled = false;
  const compiled = stack.compiled().then(() => (isCompiled = true));
  await setImmediate();
  assert.equal(isCompiled, false);
  waiting.resolve();
  await compiled;
  await session.release();
});

test("blocks that take turns in memory run one by one", async () => {
  const { session, specs } = recording("stored");
  await BlockStack.create(session, NO_ADAPTER);
  assert.deepEqual(specs.map(countBlocks), [1]);
  await session.release();
});

test("an adapter on some layers makes programs of its own", async () => {
  const targets = { modules: ["q_proj"], exclude: [], layers: [3] };
  const adapter = await attach(base, { method: lora, options: { rank: 2 }, targets }, new Random(1));
  const { session, specs } = recording("float32");
  await BlockStack.create(session, adapter);
  assert.deepEqual(specs.map(countBlocks), [6, 6]);
  const ofAdapter = specs.map(({ inputs }) => Object.keys(inputs).filter((name) => name.includes("lora_")));
  assert.deepEqual(ofAdapter, [["3.self_attn.q_proj.lora_A.weight", "3.self_attn.q_proj.lora_B.weight"], []]);
  await session.release();
});

test("groups and single blocks write the same", async () => {
  const texts: (readonly number[])[] = [];
  for (const residency of ["float32", "stored"] as const) {
    const session = new Session(createEngine({ threads: 1 }), base, residency);
    const generator = await Generator.create({ session, adapter: null });
    texts.push((await generator.complete({ promptIds: [1, 2, 3], maxNewTokens: 12 })).ids);
    await session.release();
  }
  assert.equal(texts[0]?.length, 12);
  assert.deepEqual(texts[0], texts[1]);
});

for (const options of [{}, { maxTableBytes: 0 }]) {
  const what = "maxTableBytes" in options ? "table" : "weights";
  test(`a pass whose ${what} cannot be read leaves no memory lent, and the next one runs`, async () => {
    let isBroken = false;
    const fail = (): never => {
      throw new Error("the disk is gone");
    };
    const source = new Proxy(base.source, {
      get: (target, key) =>
        isBroken && (key === "stored" || key === "readInto") ? fail : Reflect.get(target, key),
    });
    const broken = new BaseModel("broken", base.model, source);
    const session = new Session(createEngine({ threads: 1 }), broken, "stored", options);
    const generator = await Generator.create({ session, adapter: null });
    const request = { promptIds: [1, 2, 3], maxNewTokens: 2 };
    const whole = await generator.complete(request);
    isBroken = true;
    await assert.rejects(generator.complete({ ...request, promptIds: [4, 5, 6] }), /the disk is gone/);
    session.pool.clear();
    assert.equal(session.pool.allocatedBytes, 0, "something is still lent");
    isBroken = false;
    assert.deepEqual((await generator.complete(request)).ids, whole.ids);
    await session.release();
  });
}

for (const options of [{}, { maxTableBytes: 0 }]) {
  const what = "maxTableBytes" in options ? "tables are read by rows" : "tables are held";
  test(`a pass leaves no memory lent, whichever of its programs fails, where ${what}`, async () => {
    const failed = await failEachProgram(base, options, async (session) => {
      const generator = await Generator.create({ session, adapter: null });
      return (attempt) => generator.complete({ promptIds: [1, 2, 3, attempt], maxNewTokens: 1 });
    });
    assert.ok(new Set(failed).size >= 3, failed.join());
  });
}
