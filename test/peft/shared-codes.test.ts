/** @file Adapters of one base share what they make of it: codes are made once, in the same memory, and freed by the last. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BaseModel, type WeightSource } from "../../src/models/base/base-model.ts";
import type { Adapter } from "../../src/peft/attach.ts";
import { peqa } from "../../src/peft/methods/peqa.ts";
import { attachTo, perturb } from "../passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { frozenOf, valuesOf } from "../passes/trained-values.ts";
import { openUntilEnd } from "../files/open-until-end.ts";

const { base: loaded } = await openUntilEnd(await writeTinyModel(temporaryFolder()));

/** The base, as a model that nobody has used, with the names of what is read of it. */
function watchedBase(fails: (name: string) => boolean = () => false): { base: BaseModel; read: string[] } {
  const read: string[] = [];
  const note = (name: string): void => {
    if (fails(name)) throw new RangeError(`Cannot read "${name}"`);
    read.push(name);
  };
  const { source } = loaded;
  const watched: WeightSource = {
    storageOf: (name) => source.storageOf(name),
    groupSizeOf: (name) => source.groupSizeOf(name),
    view: () => null,
    stored: async (name) => {
      note(name);
      return await source.stored(name);
    },
    readInto: async (name, into, start) => {
      note(name);
      await source.readInto(name, into, start);
    },
  };
  return { base: new BaseModel(loaded.name, loaded.model, watched), read };
}

const buffersOf = (adapter: Adapter): Map<string, ArrayBufferLike> =>
  new Map([...frozenOf(adapter)].map(([name, { data }]) => [name, data.buffer]));

describe("codes of a base of floats", () => {
  test("are made once, and two tasks have them in the same memory beside scales of their own", async () => {
    const { base, read } = watchedBase();
    const first = await attachTo(base, peqa, { init: "rtn" });
    const numRead = read.length;
    assert.equal(new Set(read).size, first.sites.size);
    const start = valuesOf(first);
    perturb(first, 0.1);
    const second = await attachTo(base, peqa, { init: "rtn" });
    assert.equal(read.length, numRead, "the base was read again");
    const [own, others] = [buffersOf(first), buffersOf(second)];
    assert.equal(own.size, 2 * first.sites.size);
    for (const [name, buffer] of own) assert.equal(others.get(name), buffer, name);
    assert.deepEqual(valuesOf(second), start, "the second task starts from the first one's scales");
  });

  test("of tasks that are attached at the same time too", async () => {
    const { base, read } = watchedBase();
    const [first, second] = await Promise.all([attachTo(base, peqa), attachTo(base, peqa)]);
    assert.equal(read.length, first.sites.size);
    assert.deepEqual(buffersOf(first), buffersOf(second));
  });

  test("with other bits, groups or starts are others", async () => {
    const { base } = watchedBase();
    const adapters = [];
    for (const options of [{}, { bits: 3 }, { groupSize: 16 }, { init: "rtn" }]) {
      adapters.push(await attachTo(base, peqa, options));
    }
    const buffers = adapters.flatMap((adapter) => [...buffersOf(adapter).values()]);
    assert.equal(new Set(buffers).size, buffers.length);
  });

  test("stay until the last task is released", async () => {
    const { base, read } = watchedBase();
    const [first, second] = [await attachTo(base, peqa), await attachTo(base, peqa)];
    const keys = base.derived.keys();
    assert.equal(keys.length, first.sites.size);
    first.release();
    first.release();
    assert.deepEqual(base.derived.keys(), keys);
    second.release();
    assert.deepEqual(base.derived.keys(), []);
    const numRead = read.length;
    await attachTo(base, peqa);
    assert.equal(read.length, 2 * numRead);
  });

  test("are held by nobody when an adapter could not be made, and are made when it is tried again", async () => {
    let isBroken = true;
    const { base } = watchedBase((name) => isBroken && name.includes("1.mlp.down_proj"));
    await assert.rejects(attachTo(base, peqa), /Cannot read "model\.layers\.1\.mlp\.down_proj\.weight"/);
    assert.deepEqual(base.derived.keys(), []);
    isBroken = false;
    const { sites } = await attachTo(base, peqa);
    assert.equal(base.derived.keys().length, sites.size);
  });

  test("are held by nobody either when the head that stays beside a trained embedding cannot be read", async () => {
    let numReads = 0;
    const { base } = watchedBase((name) => name.includes("embed_tokens") && ++numReads === 2);
    const options = { modulesToSave: ["embed_tokens"] };
    await assert.rejects(attachTo(base, peqa, options), /Cannot read "model\.embed_tokens\.weight"/);
    assert.deepEqual(base.derived.keys(), []);
  });
});
