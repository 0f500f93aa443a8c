import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { loadModel } from "../format/by-path.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import type { Engine } from "../runtime/engine.ts";
import { Graph } from "../graph/graph.ts";
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import { Session } from "./session.ts";

test("a session that is released hears no more of the tensors that its programs bind", async () => {
  const { base, checkpoint } = await loadModel(await writeTinyModel(temporaryFolder()));
  const lease = await base.derived.acquire("doubled", () => ({
    w: hostTensor("float32", [1], Float32Array.of(2)),
  }));
  let numReleased = 0;
  const engine = createEngine({ threads: 1 });
  const counting: Engine = {
    ...engine,
    compile: async (spec, options) => {
      const program = await engine.compile(spec, options);
      return { ...program, spec, run: () => Promise.resolve(), release: async () => void numReleased++ };
    },
  };
  const source: Parameters<Session["compile"]>[1] = () => {
    const graph = new Graph();
    const [x, w] = [graph.input("x", "float32", [1]), graph.input("w", "float32", [1])];
    const spec = { name: "product", inputs: { x, w }, outputs: { y: mul(x, w) } };
    return { spec, made: null, constants: async () => lease.tensors };
  };
  const [one, two] = [new Session(counting, base), new Session(counting, base)];
  await one.compile("product", source);
  await two.compile("product", source);
  await one.release();
  assert.equal(numReleased, 1);
  lease.release();
  await new Promise(setImmediate);
  assert.equal(numReleased, 2, "that of the session which was not released");
  await two.release();
  assert.equal(numReleased, 2);
  await checkpoint.close();
});

test("factors for many tokens that could not be measured are measured when they are asked for again, once", async () => {
  const { base, checkpoint } = await loadModel(await writeTinyModel(temporaryFolder()));
  const factors = hostTensor("float32", [1], Float32Array.of(2));
  let measured = 0;
  const measureMany = async () => {
    if (++measured === 1) throw new Error("no memory");
    return new Map([["x", factors]]);
  };
  const session = new Session(createEngine({ threads: 1 }), base, "stored", { measureMany });
  const prepare = (): Promise<void> => session.prepareMany();
  await assert.rejects(Promise.all([prepare(), prepare()]), /no memory/);
  assert.equal(session.isPreparedForMany, false);
  await Promise.all([prepare(), prepare()]);
  assert.deepEqual([measured, session.isPreparedForMany, session.smoothing.get("x")], [2, true, factors]);
  await session.release();
  await checkpoint.close();
});
