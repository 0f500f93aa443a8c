/** @file What programs bind is found again bit for bit, and what is damaged, of another file or too large is not. */
import assert from "node:assert/strict";
import { type Hash, createHash } from "node:crypto";
import {
  appendFileSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { randomTensor } from "../../../test/tiny/random-blocks.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import { Generator } from "../../engine/generation/generator.ts";
import { BaseModel } from "../../models/base/base-model.ts";
import { watchNumbers } from "../../models/base/watch-numbers.ts";
import type { Product } from "../../nn/compute.ts";
import { COMPUTES } from "../../nn/computes.ts";
import type { OperandStore } from "../../nn/operand-store.ts";
import { type StorageName, STORAGES } from "../../quant/storages.ts";
import { dequantize, unpackStored } from "../../quant/stored-tensor.ts";
import { Random } from "../../random.ts";
import { Session } from "../../run/session.ts";
import { zeros } from "../../runtime/host-tensor.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { type OperandLimits, openOperandCache } from "./operand-cache.ts";

const skip = process.platform === "win32" ? "Windows maps no files" : false;
const root = temporaryFolder();
const { base } = await openUntilEnd(
  await writeTinyModel(join(root, "model"), { config: { hidden_size: 64, intermediate_size: 128 } }),
);
/** Stands for the model's file. */
const file = join(root, "model", "model.safetensors");
const NO_LIMITS: OperandLimits = { minBytes: 0, maxBytes: 1e9 };

let numHomes = 0;
const newHome = (): string => join(root, `home${numHomes++}`);
const open = (home: string, limits = NO_LIMITS): Promise<OperandStore | undefined> =>
  openOperandCache(file, { GRAFT_HOME: home }, limits);
const kept = (home: string): string[] =>
  readdirSync(join(home, "operands")).map((name) => join(home, "operands", name));

/** What a run writes, and how many numbers of the file it reads. */
async function run(operands: OperandStore | undefined): Promise<{ ids: readonly number[]; numRead: number }> {
  let numRead = 0;
  const { source } = base;
  const readInto: typeof source.readInto = async (name, into, start) => {
    numRead += into.length;
    await source.readInto(name, into, start);
  };
  const model = new BaseModel(base.name, base.model, { ...source, view: () => null, readInto, operands });
  const session = new Session(createEngine({ threads: 1 }), model, "float32", { compute: COMPUTES.direct });
  const generator = await Generator.create({ session, adapter: null });
  const { ids } = await generator.complete({ promptIds: [1, 2, 3], maxNewTokens: 12 });
  await operands?.save();
  await generator.engine.close();
  await session.release();
  return { ids, numRead };
}

test("a run takes what an earlier one made, and writes the same", { skip }, async () => {
  const home = newHome();
  const [first, second] = [await run(await open(home)), await run(await open(home))];
  assert.deepEqual(second.ids, first.ids);
  assert.deepEqual((await run(undefined)).ids, first.ids);
  assert.ok(second.numRead < first.numRead / 20, `${second.numRead} of ${first.numRead} numbers read`);
  const [path = "", ...others] = kept(home);
  assert.deepEqual([statSync(path).mode & 0o777, others], [0o600, []]);
});

test("what is damaged or cut off is made anew, and then kept again", { skip }, async () => {
  const home = newHome();
  const whole = await run(await open(home));
  const [path = ""] = kept(home);
  const bytes = readFileSync(path);
  const first = bytes.indexOf("\n") + 64;
  for (const damaged of [
    bytes.with(first, bytes[first]! ^ 1),
    bytes.with(40, bytes[40]! ^ 1),
    bytes.with(0, 0),
    bytes.subarray(0, bytes.length >> 1),
    Buffer.alloc(0),
  ]) {
    // Another file of the name, for that of before is mapped.
    rmSync(path);
    writeFileSync(path, damaged);
    assert.deepEqual((await run(await open(home))).ids, whole.ids);
    assert.equal((await run(await open(home))).numRead, (await run(await open(home))).numRead);
    assert.ok((await run(await open(home))).numRead < whole.numRead / 20);
  }
});

test("nothing is found of a file that was changed", { skip }, async () => {
  const home = newHome();
  const [whole, again] = [await run(await open(home)), await run(await open(home))];
  assert.ok(again.numRead < whole.numRead);
  appendFileSync(file, "");
  utimesSync(file, new Date(), new Date());
  assert.equal((await run(await open(home))).numRead, whole.numRead);
});

test("memory that was used again before it was kept is not what is found", { skip }, async () => {
  const home = newHome();
  const specs = [{ suffix: ".codes", dtype: "uint8", shape: [4] }] as const;
  const data = Uint8Array.of(1, 2, 3, 4);
  const store = (await open(home))!;
  store.add("matrix", "blocks", { ".codes": { dtype: "uint8", shape: [4], data } });
  await store.save();
  assert.deepEqual((await (await open(home))!.find("matrix", "blocks", specs))?.[".codes"]?.data, data);
  store.add("matrix", "blocks", { ".codes": { dtype: "uint8", shape: [4], data } });
  data.fill(9);
  await store.save();
  assert.equal(await (await open(home))!.find("matrix", "blocks", specs), null);
});

test("a matrix with what is no number is not kept, so that every run tells of it", { skip }, async () => {
  const home = newHome();
  const notes: string[] = [];
  const readInto: typeof base.source.readInto = async (_name, into) => void into.fill(Number.NaN);
  const source = { ...base.source, readInto, operands: await open(home) };
  const watched = watchNumbers("model", source, (note) => notes.push(note));
  await watched.readInto("matrix", new Float32Array(4096));
  for (const name of ["matrix", "other"]) watched.operands?.add(name, "blocks", { "": zeros("uint8", [4]) });
  await watched.operands?.save();
  assert.equal(notes.length, 1);
  const specs = [{ suffix: "", dtype: "uint8", shape: [4] }] as const;
  const again = watchNumbers("model", { ...source, operands: await open(home) }, () => {}).operands;
  assert.equal(await again?.find("matrix", "blocks", specs), null);
  assert.deepEqual(await again?.find("other", "blocks", specs), { "": zeros("uint8", [4]) });
});

test(
  "little is not kept, nor more than there is room for; what was not used for the longest goes",
  { skip },
  async () => {
    const home = newHome();
    await run(await open(home, { minBytes: 1e8, maxBytes: 1e9 }));
    await run(await open(home, { minBytes: 0, maxBytes: 10 }));
    assert.throws(() => kept(home), { code: "ENOENT" });
    await run(await open(home));
    const [path = ""] = kept(home);
    const old = join(home, "operands", "old.operands");
    writeFileSync(old, "");
    truncateSync(old, readFileSync(path).length);
    utimesSync(old, 1, 1);
    utimesSync(file, new Date(), new Date());
    await run(await open(home, { minBytes: 0, maxBytes: 2.5 * readFileSync(path).length }));
    assert.equal(kept(home).includes(old), false);
    assert.equal(kept(home).length, 2);
  },
);

test(
  "a disk that refuses is no reason to fail, and GRAFT_OPERANDS says whether anything is kept",
  { skip },
  async () => {
    const home = newHome();
    writeFileSync(home, "");
    assert.equal((await run(await open(home))).ids.length, 12);
    assert.equal(await openOperandCache(file, { GRAFT_HOME: home, GRAFT_OPERANDS: "off" }), undefined);
    await assert.rejects(openOperandCache(file, { GRAFT_OPERANDS: "no" }), { code: "usage/flag" });
  },
);

/** The operands of a random matrix of each kind that are kept, by all that they are kept by. */
async function keptOperands(): Promise<ReadonlyMap<string, Uint8Array>> {
  const all = new Map<string, Uint8Array>();
  const shape = [8, 256];
  const matrix = { role: "up", inFeatures: 256, outFeatures: 8, storedTransposed: false } as const;
  for (const storage of Object.keys(STORAGES) as StorageName[]) {
    const { ggmlTypes } = STORAGES[storage];
    if (ggmlTypes.length === 0) continue;
    const { bytes } = randomTensor("w", storage, shape, 1, new Random(1));
    const stored = unpackStored(storage, bytes, shape);
    for (const compute of Object.values(COMPUTES)) {
      const products = [compute.product(matrix, storage), compute.many?.product(matrix, storage)];
      for (const product of products.filter((one): one is Product => one?.keptAs !== undefined)) {
        const operands = await product.prepare(
          {
            stored: () => Promise.resolve(stored),
            readInto: (into) => Promise.resolve(into.set(dequantize(stored))),
            view: () => null,
            smoothing: () => null,
          },
          ({ dtype, shape }) => zeros(dtype, shape),
        );
        for (const [suffix, { dtype, shape: own, data }] of Object.entries(operands)) {
          const key = JSON.stringify([storage, product.keptAs, suffix, dtype, own]);
          const bytes = new Uint8Array(data.buffer);
          // Whichever arithmetic made them.
          assert.deepEqual(all.get(key) ?? bytes, bytes, key);
          all.set(key, bytes);
        }
      }
    }
  }
  return all;
}

/** SHA-256 of the operands by the kind that they are made of. */
const DIGESTS: Readonly<Record<string, string>> = {
  f32: "bebb557f4ef3966b11760eab43a0b5b7a531e8c245a9265f3effa0ce0446a8cc",
  f16: "719db96b2eb791690e2d80815672d143a3e7c9f7cb6c1291deee454f28f8cc2c",
  bf16: "6f056cb3cf6d1f764e30e4c19628bd2f017a4ea1dd115c17ab6e441f32abb3b2",
  q8_0: "4813a9144ba4e866ec04b3c10804e455689a032fbecc6f7c5d745fe55d94e8cc",
  q4_0: "1a392f1be44f7ede0ca9a31ceb4e6a1998aceb48683a5fded82360c95e1b136a",
  q4_1: "199a6e275d1af3cd637956f96e76c01840a4a3564c6a8cfda4173733feba9206",
  q5_0: "529d0c8ad34b35309fcb60c2c0a376bdcca07c7e288e6f5dfc52b8a48b2923cc",
  q5_1: "c5c3a0647044e48d6ad607f8da7af47ed8b2845d0bd752cf3d4a6bdb39195df8",
  q2_k: "2e8fb63d94e553bcdcb28d690dc0f17206a69f559b5b9d4e539b6fd71ee2072c",
  q3_k: "d9a6d0b0df86e4df2cb6bb6cdf30270a669c8d5d3bb3b9c5ab991b03a964b574",
  q4_k: "4c8bd43f95723c1afd9abbb493788c34a622f73456ef72859e0ee1b8fe1ab9e3",
  q5_k: "d9837246248f85278bd19a62d14ffd72c27358ef1613ff562a41c0914b378113",
  q6_k: "e74d6173649fd9a54fb68c0234eddca4c40fbecb9b19fa8a87ce1d7e9241fec5",
  iq4_nl: "3ee5628072993d91f8ee2694022e71e5a3ba55d66329482f0e9af11b0792b649",
  iq4_xs: "6ea3b4af6ea441878807313ea93e689922c0db87374dd04320a22e0acc7f50e6",
  mxfp4: "45238a2158ae73e460e64092cb70d57f04481bd2ffed3c9a1f01ab6ed8261768",
};

test("operands are those of this layout: when they are to be others, LAYOUT is raised, and then these digests; a new kind has one more", async () => {
  const hashes = new Map<string, Hash>();
  for (const [key, bytes] of await keptOperands()) {
    const [storage] = JSON.parse(key) as [string];
    const hash = hashes.get(storage) ?? createHash("sha256");
    hashes.set(storage, hash.update(key).update(bytes));
  }
  const digests = Object.fromEntries([...hashes].map(([storage, hash]) => [storage, hash.digest("hex")]));
  assert.deepEqual(digests, DIGESTS);
});
