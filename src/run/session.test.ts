import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { loadModel } from "../format/by-path.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import { Session } from "./session.ts";

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
