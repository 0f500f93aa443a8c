/** @file What a forward pass has borrowed goes back, whatever its reader does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failEachProgram } from "../../test/passes/failing-programs.ts";
import { temporaryFolder, writeTinyModel } from "../../test/tiny/model.ts";
import { factsOf, labelledPositions } from "../data/batches/pass-facts.ts";
import { loadModel } from "../format/by-path.ts";
import { NO_ADAPTER } from "../peft/adapter-view.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { layUnits } from "../train/step/micro-batch.ts";
import { ForwardPass } from "./forward-pass.ts";
import { Session } from "./session.ts";

test("a pass whose reader fails, as by classes that are no numbers, gives its memory back", async () => {
  const { base, checkpoint } = await loadModel(await writeTinyModel(`${temporaryFolder()}/model`));
  const session = new Session(createEngine({ threads: 1 }), base);
  const pass = await ForwardPass.create(session, NO_ADAPTER);
  const source = { file: "here", line: 1 };
  const batch = layUnits([{ ids: Int32Array.of(1, 2, 3), weights: Float32Array.of(0, 1, 1), source }]);
  const failing = (): Promise<never> => Promise.reject(new Error("no numbers"));
  for (let i = 0; i < 3; i++)
    await assert.rejects(pass.run(batch.input, factsOf(batch), failing), /no numbers/);
  session.pool.clear();
  assert.equal(session.pool.allocatedBytes, 0);
  await session.release();
  await checkpoint.close();
});

for (const options of [{}, { maxTableBytes: 0 }]) {
  const what = "maxTableBytes" in options ? "tables are read by rows" : "tables are held";
  test(`a pass, its logits and losses leave no memory lent, whichever of its programs fails, where ${what}`, async () => {
    const { base, checkpoint } = await loadModel(await writeTinyModel(`${temporaryFolder()}/model`));
    const source = { file: "here", line: 1 };
    const batch = layUnits([{ ids: Int32Array.of(1, 2, 3), weights: Float32Array.of(0, 1, 1), source }]);
    const failed = await failEachProgram(base, options, async (session) => {
      const pass = await ForwardPass.create(session, NO_ADAPTER);
      return () =>
        pass.run(batch.input, factsOf(batch), async (x) => {
          await pass.head.withLogitsAt(x, Int32Array.of(0, 2), 0, () => {});
          await pass.labelHead.logProbs(x, labelledPositions(batch), new Float32Array(2));
        });
    });
    assert.ok(new Set(failed).size >= 3, failed.join());
    await checkpoint.close();
  });
}
