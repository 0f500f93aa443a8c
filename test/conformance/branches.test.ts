/** @file The branches of every family's blocks: left out of the backward pass, and as programs of their own. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { factsOf } from "../../src/data/batches/pass-facts.ts";
import type { Value } from "../../src/graph/graph.ts";
import { isAttended } from "../../src/models/graphs/part-saved.ts";
import { FAMILIES } from "../../src/models/families.ts";
import { full } from "../../src/peft/methods/full.ts";
import { lora } from "../../src/peft/methods/lora.ts";
import { BlockRunner, type Saved } from "../../src/run/blocks/block-runner.ts";
import { forwardByBranch } from "../passes/branch-stretches.ts";
import { PassContext } from "../../src/run/context.ts";
import { Embedding } from "../../src/run/embedding.ts";
import { GradientBuffer } from "../../src/run/gradients/gradient-buffer.ts";
import { Session } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { Random } from "../../src/random.ts";
import { assertBlockGradient, buildBlock } from "../reference/block-reference.ts";
import { largestDifference } from "../reference/differences.ts";
import { attachTo, examplesFor, perturb, unpacked } from "../passes/model-passes.ts";
import { sharePrograms } from "../passes/shared-programs.ts";
import { temporaryFolder, writeTinyModel } from "../tiny/model.ts";
import { openUntilEnd } from "../files/open-until-end.ts";
import { inTurn } from "../matrix/sampled.ts";

const engine = sharePrograms(createEngine({ threads: 1 }));
const folder = temporaryFolder();

/** All that a value is computed of, itself included; not beyond `stop`. */
function sourcesOf(value: Value, stop: Value): Set<Value> {
  const seen = new Set<Value>([value]);
  // The set grows while it is walked through.
  for (const each of seen) {
    if (each === stop) continue;
    for (const input of each.node?.inputs ?? []) seen.add(input);
  }
  return seen;
}

function bytesOf(saved: Saved): number {
  return Object.values(saved).reduce((sum, { data }) => sum + data.byteLength, 0);
}

for (const [turn, { modelType }] of FAMILIES.entries()) {
  describe(`branches of ${modelType}`, async () => {
    const { base } = await openUntilEnd(await writeTinyModel(`${folder}/${modelType}`, { modelType }));
    const batch = unpacked(examplesFor(base.model, [9, 6, 4]));
    const { layers, width } = base.model;
    const names = layers[0]!.branches.map(({ name }) => name);
    assert.deepEqual(names.slice(0, 2), ["attention", "mlp"]);
    // Behind the blocks, one without branches may take means.
    const numBlocks = layers.findLastIndex(({ branches }) => branches.length > 0) + 1;
    const last = numBlocks - 1;

    for (const [i, dropped] of [["attention"], ["mlp"], names].entries()) {
      for (const method of inTurn([full, lora], turn + i)) {
        test(`${method.name} without the backward of ${dropped.join(" and ")}`, async () => {
          const adapter = await attachTo(base, method);
          perturb(adapter, 0.05);
          const session = new Session(engine, base);
          const { pool } = session;
          const runner = new BlockRunner(session, adapter, null);
          const buffer = await GradientBuffer.create(engine, adapter, pool);
          const pass = runner.begin(new PassContext(factsOf(batch), pool, session.tables));
          const x = await (await Embedding.create(session, adapter)).forward(batch.input, pass.context);
          // What the last block may read the keys of.
          for (const giving of layers.keys()) {
            if (base.model.givesKeys(giving))
              pool.release((await runner.forward(giving, x, pass, { saves: "nothing" })).y);
          }
          const dy = pool.acquire("float32", x.shape);
          const random = new Random(4);
          dy.data.forEach((_, i) => (dy.data[i] = random.normal()));

          const whole = await runner.forward(last, x, pass, { saves: "all" });
          const part = await runner.forward(last, x, pass, { saves: "all", dropped });
          assert.deepEqual(part.y.data, whole.y.data, "forward is another");

          // What is inside of dropped branches alone is not saved, and nothing else is missing.
          const built = buildBlock(base, adapter, last);
          const inside = new Set<Value>();
          const readsOf = ({ input, sum }: { readonly input: Value; readonly sum: Value }): Value[] =>
            [...sourcesOf(sum, input)].filter((value) => value !== sum && value !== input);
          const { branches } = built.part;
          for (const branch of branches.filter(({ name }) => dropped.includes(name)))
            for (const value of readsOf(branch)) inside.add(value);
          // A norm may be read by both.
          for (const branch of branches.filter(({ name }) => !dropped.includes(name)))
            for (const value of readsOf(branch)) inside.delete(value);
          const isInside = (name: string): boolean => inside.has(built.part.saved[name]!);
          assert.ok(Object.keys(part.saved).every((name) => !isInside(name) && name in whole.saved));
          const vanished = Object.fromEntries(Object.entries(whole.saved).filter(([name]) => isInside(name)));
          assert.ok(bytesOf(vanished) > 0);
          assert.ok(bytesOf(part.saved) <= bytesOf(whole.saved) - bytesOf(vanished));

          const gradientsOf = async (saved: Saved): Promise<Map<string, Float32Array>> => {
            buffer.begin();
            const collecting = { ...pass, gradients: buffer };
            const plan = { dropped, wantsInput: true, links: [] };
            const dx = await runner.backward(last, { x, saved, dy }, collecting, plan);
            buffer.finish();
            const found = new Map([["dx", dx!.data.slice()]]);
            pool.release(dx!);
            for (const { group, values, present } of buffer.groups) {
              for (const [i, { name, offset, length }] of group.parameters.entries())
                if (present[i]) found.set(name, await values.read(offset, offset + length));
            }
            return found;
          };
          const kept = await gradientsOf(part.saved);
          const own = { ...built.part.tensors, ...built.part.adapter };
          const expected = adapter
            .trained(last)
            .filter(({ input }) => !inside.has(own[input]!))
            .map(({ name }) => name);
          assert.deepEqual([...kept.keys()].sort(), ["dx", ...expected].sort());
          if (built.part.branches.at(-1)?.sum === built.y && dropped.length === names.length) {
            assert.deepEqual(kept.get("dx"), dy.data, "dx is not that of the identity");
          }
          const { saved: attended } = await runner.forward(last, x, pass, { saves: "attention", dropped });
          assert.ok(Object.keys(attended).every(isAttended));
          for (const saved of [{}, attended]) {
            const anew = await gradientsOf(saved);
            for (const [name, gradient] of kept) {
              const size = Math.hypot(...gradient);
              const apart = Math.hypot(...gradient.map((value, i) => value - anew.get(name)![i]!));
              assert.ok(apart <= 1e-5 * size, `${name} is ${apart} apart, of norm ${size}`);
            }
          }
          runner.end(pass);
          await buffer.release();
          await session.release();
        });

        test(`gradients of ${method.name} without ${dropped.join(" and ")} equal central differences in float64`, async () => {
          const adapter = await attachTo(base, method);
          perturb(adapter, 0.05);
          await assertBlockGradient(base, adapter, last, dropped);
        });
      }
    }

    test("branch by branch it gives the whole, and a branch that does not run changes nothing", async () => {
      const adapter = await attachTo(base, lora);
      perturb(adapter, 0.05);
      const session = new Session(engine, base);
      const { pool } = session;
      const runner = new BlockRunner(session, adapter, null);
      const pass = runner.begin(new PassContext(factsOf(batch), pool, session.tables));
      let x = await (await Embedding.create(session, adapter)).forward(batch.input, pass.context);
      for (let layer = 0; layer < numBlocks; layer++) {
        const { y } = await runner.forward(layer, x, pass, { saves: "nothing" });
        const asked: string[] = [];
        const parts = await forwardByBranch(runner, layer, x, pass, (branch, stream) => {
          assert.equal(stream.shape.at(-1), width);
          return asked.push(branch) > 0;
        });
        // Not always to the bit: what the runtime joins across branches, it rounds otherwise.
        assert.ok(largestDifference(parts.data, y.data) <= 1e-6, `layer ${layer}`);
        assert.deepEqual(asked, names);

        // Without its attention, and then without its second part too.
        const { part, x: input, y: output } = buildBlock(base, adapter, layer);
        const hasNothingBetween =
          part.branches[0]?.input === input &&
          part.branches.at(-1)?.sum === output &&
          part.branches[0].sum === part.branches[1]?.input;
        const none = await forwardByBranch(runner, layer, x, pass, () => Promise.resolve(false));
        if (hasNothingBetween) assert.deepEqual(none.data, x.data);
        else assert.notDeepEqual(none.data, x.data);
        const first = await forwardByBranch(runner, layer, x, pass, (branch) => branch === "attention");
        const second = await forwardByBranch(runner, layer, x, pass, (branch) => branch === "mlp");
        assert.notDeepEqual(first.data, second.data);
        assert.notDeepEqual(first.data, y.data);
        pool.release(x, parts, none, first, second);
        x = y;
      }
      pool.release(x);
      runner.end(pass);
      const { allocatedBytes } = pool;
      pool.clear();
      assert.ok(allocatedBytes > 0);
      assert.equal(pool.allocatedBytes, 0, "something is still lent");
      await session.release();
    });
  });
}
