import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import type { Compute, Product } from "../nn/compute.ts";
import { COMPUTES } from "../nn/computes.ts";
import { f32, float32Product } from "../nn/computes/f32.ts";
import { createEngine } from "../runtime/create-engine.ts";
import type { Engine } from "../runtime/engine.ts";
import { costOf, describeCost, measureCompute } from "./compute-cost.ts";

const engine = createEngine({ threads: 1 });

test("every arithmetic is as near to float32 as its bits allow, and float32 needs no try", async () => {
  for (const compute of Object.values<Compute>(COMPUTES)) {
    const { time, error } = await measureCompute(engine, compute);
    assert.ok(time > 0 && error < 0.15, `${compute.name}: ${error} apart, ${time} times as long`);
    assert.equal(error === 0, compute === f32);
  }
});

test("an arithmetic whose sums are wrong is told, with what to use instead", async () => {
  const halved: Compute = {
    name: "halved",
    summary: "of this test",
    product: (matrix): Product => {
      const exact = float32Product(matrix);
      return { ...exact, project: (x, operands) => mul(exact.project(x, operands), x.graph.scalar(0.5)) };
    },
  };
  const { error } = await measureCompute(engine, halved);
  assert.ok(Math.abs(error - 0.5) < 1e-4, `${error}`);
  assert.match(
    describeCost(halved, { time: 1, error }) ?? "",
    /^halved products .* off by 50 % .*--compute f32/,
  );
});

test("an arithmetic is not slow because others had the processor for some of its runs", async () => {
  const same: Compute = { name: "same", summary: "of this test", product: float32Product };
  let numCompiled = 0;
  const shared: Engine = {
    ...engine,
    async compile(...request) {
      const program = await engine.compile(...request);
      // That of the arithmetic is the first.
      let numDisturbed = numCompiled++ === 0 ? 10 : 0;
      return {
        spec: program.spec,
        release: () => program.release(),
        run: async (...tensors) => {
          if (numDisturbed-- > 0) await setTimeout(20);
          await program.run(...tensors);
        },
      };
    },
  };
  const { time } = await measureCompute(shared, same);
  assert.ok(time < 3, `${time} times as long`);
});

test("an arithmetic that is slower than float32 is told, one that is faster is not", () => {
  const name = "int8";
  assert.match(
    describeCost({ name }, { time: 2.34, error: 0.01 }) ?? "",
    /take 2\.3 times as long as in float32/,
  );
  assert.equal(describeCost({ name }, { time: 0.4, error: 0.01 }), null);
});

test("what an arithmetic costs is measured once in a process, and again where that failed", async () => {
  const once: Compute = { name: "once", summary: "of this test", product: float32Product };
  let [numCompiled, fails] = [0, true];
  const counted: Engine = {
    ...engine,
    async compile(...request) {
      numCompiled++;
      if (fails) throw new Error("made up");
      return await engine.compile(...request);
    },
  };
  await assert.rejects(costOf(counted, once), { message: "made up" });
  fails = false;
  numCompiled = 0;
  const [first, second] = await Promise.all([costOf(counted, once), costOf({ ...counted }, once)]);
  assert.equal(await costOf(counted, once), first);
  assert.equal(second, first);
  assert.equal(numCompiled, 2, "its own product and float32's");
});
