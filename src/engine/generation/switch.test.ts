/** @file Switching adapters, and generating with merged ones: the text is that of a generator made for the adapter. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { attachTo, perturb } from "../../../test/passes/model-passes.ts";
import { temporaryFolder, writeTinyModel } from "../../../test/tiny/model.ts";
import type { Adapter } from "../../peft/attach.ts";
import { ia3 } from "../../peft/methods/ia3.ts";
import { lora } from "../../peft/methods/lora.ts";
import { peqa } from "../../peft/methods/peqa.ts";
import { mergedModel } from "../../peft/merged-model.ts";
import type { Method } from "../../peft/method.ts";
import type { Engine } from "../../runtime/engine.ts";
import { createEngine } from "../../runtime/create-engine.ts";
import { Session } from "../../run/session.ts";
import { Generator } from "./generator.ts";
import { openUntilEnd } from "../../../test/files/open-until-end.ts";

const REQUEST = { promptIds: [72, 101, 108, 108, 111], maxNewTokens: 12 };
const { base } = await openUntilEnd(await writeTinyModel(`${temporaryFolder()}/model`));

/** A session whose engine counts what it compiles, and how much of that has been released. */
function counting(): { session: Session; numCompiled: () => number; numReleased: () => number } {
  const inner = createEngine({ threads: 1 });
  let [count, released] = [0, 0];
  const compile: Engine["compile"] = async (...given) => {
    count++;
    const program = await inner.compile(...given);
    const release = (): Promise<void> => {
      released++;
      return program.release();
    };
    return { spec: program.spec, run: (feeds, into) => program.run(feeds, into), release };
  };
  const session = openSession({ ...inner, compile });
  return { session, numCompiled: () => count, numReleased: () => released };
}

function openSession(engine: Engine = createEngine({ threads: 1 }), of = base): Session {
  const session = new Session(engine, of, "float32");
  after(() => session.release());
  return session;
}

async function moved(method: Method, options: object, seed: number): Promise<Adapter> {
  const adapter = await attachTo(base, method, options, null, seed);
  perturb(adapter, 0.3, seed);
  return adapter;
}

async function idsOf(adapter: Adapter | null): Promise<readonly number[]> {
  const generator = await Generator.create({ session: openSession(), adapter });
  const { ids } = await generator.complete(REQUEST);
  return ids;
}

describe("switchTo()", () => {
  for (const [name, method, options] of [
    ["lora", lora, { rank: 2 }],
    ["ia3", ia3, {}],
    ["peqa", peqa, { init: "rtn" }],
  ] as const) {
    test(`two ${name} adapters of equal structure take turns without compiling`, async () => {
      const [a, b] = [await moved(method, options, 1), await moved(method, options, 2)];
      const [textA, textB] = [await idsOf(a), await idsOf(b)];
      assert.notDeepEqual(textA, textB);
      const { session, numCompiled } = counting();
      const generator = await Generator.create({ session, adapter: a });
      assert.deepEqual((await generator.complete(REQUEST)).ids, textA);
      const before = numCompiled();
      for (const [adapter, text] of [
        [b, textB],
        [a, textA],
      ] as const) {
        await generator.switchTo(adapter);
        const { ids, numReusedTokens } = await generator.complete(REQUEST);
        assert.deepEqual(ids, text);
        assert.equal(numReusedTokens, 0, "the cache of the other adapter was used");
      }
      assert.equal(numCompiled(), before);
    });
  }

  test("programs that bind codes are freed with the last adapter that has them", async () => {
    const others = base.derived.keys();
    const [a, b] = [await moved(peqa, {}, 1), await moved(peqa, {}, 2)];
    const { session, numCompiled, numReleased } = counting();
    const generator = await Generator.create({ session, adapter: null });
    for (const adapter of [null, a]) await generator.prepare(adapter);
    const before = numCompiled();
    await generator.prepare(b);
    assert.equal(numCompiled(), before);
    a.release();
    await generator.switchTo(b);
    await generator.complete(REQUEST);
    assert.equal(numReleased(), 0);
    await generator.switchTo(null);
    b.release();
    await generator.complete(REQUEST);
    assert.equal(numReleased(), 1);
    assert.deepEqual(base.derived.keys(), others);
  });

  test("an adapter of another structure, and the base alone, get programs of their own", async () => {
    const [a, b] = [await moved(lora, { rank: 2 }, 1), await moved(lora, { rank: 3 }, 2)];
    const generator = await Generator.create({ session: openSession(), adapter: a });
    for (const adapter of [b, null, a]) {
      await generator.switchTo(adapter);
      assert.deepEqual((await generator.complete(REQUEST)).ids, await idsOf(adapter));
    }
  });

  test("of several that are asked for at once, the last is had, also where one before takes longer, or fails", async () => {
    const [slow, fast, broken] = [
      await moved(lora, { rank: 2 }, 1),
      await moved(lora, { rank: 3 }, 2),
      await moved(ia3, {}, 3),
    ];
    const generator = await Generator.create({ session: openSession(), adapter: fast });
    const { adapters } = generator.engine;
    const [gate, hold] = [Promise.withResolvers<void>(), adapters.hold.bind(adapters)];
    adapters.hold = (async (adapter: Adapter | null) => {
      if (adapter === slow) await gate.promise;
      if (adapter === broken) throw new Error("no memory");
      return await hold(adapter);
    }) as typeof hold;
    const switches = [slow, broken, fast].map((adapter) => generator.switchTo(adapter));
    const settled = Promise.allSettled(switches);
    await setImmediate();
    gate.resolve();
    assert.deepEqual(
      (await settled).map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual((await generator.complete(REQUEST)).ids, await idsOf(fast));
  });

  test("a generation in work keeps its adapter", async () => {
    const generator = await Generator.create({ session: openSession(), adapter: null });
    const tokens = generator.generate(REQUEST);
    await tokens.next();
    await assert.rejects(
      () => generator.switchTo(null),
      /Cannot switch adapters: a generation is in progress/,
    );
    await tokens.return({ finishReason: "aborted", numReusedTokens: 0 });
    await generator.switchTo(null);
  });
});

describe("mergedModel()", () => {
  test("writes what the adapter writes beside its base", async () => {
    const adapter = await moved(lora, { rank: 2 }, 1);
    const engine = createEngine({ threads: 1 });
    const merged = await mergedModel(engine, base, adapter);
    const session = openSession(engine, merged.model);
    const generator = await Generator.create({ session, adapter: null });
    assert.deepEqual((await generator.complete(REQUEST)).ids, await idsOf(adapter));
    assert.notDeepEqual(await idsOf(adapter), await idsOf(null));
    await merged.release();
  });

  test("has what it leaves as its base has it, a head that is the embedding's too", async () => {
    const adapter = await moved(lora, { rank: 2 }, 1);
    const merged = await mergedModel(createEngine({ threads: 1 }), base, adapter);
    const [[head, table] = ["", ""]] = base.model.ties;
    assert.deepEqual(await merged.model.source.stored(head), await base.source.stored(table));
    await merged.release();
  });
});
