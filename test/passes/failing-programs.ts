/** @file Work on a session whose programs fail, one after another: none may leave memory lent. */
import assert from "node:assert/strict";
import type { BaseModel } from "../../src/models/base/base-model.ts";
import { Session, type SessionOptions } from "../../src/run/session.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import type { Engine } from "../../src/runtime/engine.ts";

/**
 * Does work again and again, of which the first run of a program fails, then the second, until it does not fail; returns the names of
 * the programs that failed. `open` prepares the work.
 */
export async function failEachProgram(
  base: BaseModel,
  options: SessionOptions,
  open: (session: Session) => Promise<(attempt: number) => Promise<unknown>>,
): Promise<string[]> {
  const engine = createEngine({ threads: 1 });
  let numLeft = Infinity;
  const failed: string[] = [];
  const compile: Engine["compile"] = async (spec, how) => {
    const program = await engine.compile(spec, how);
    const run: typeof program.run = async (feeds, results) => {
      if (numLeft-- > 0) return await program.run(feeds, results);
      failed.push(spec.name);
      throw new Error("no memory");
    };
    return { ...program, run, release: () => program.release() };
  };
  const session = new Session({ ...engine, compile }, base, "stored", options);
  const work = await open(session);
  for (let isDone = false, attempt = 0; !isDone; attempt++) {
    numLeft = attempt;
    const numFailed = failed.length;
    await work(attempt).catch((error: Error) => assert.equal(error.message, "no memory"));
    isDone = failed.length === numFailed;
    session.pool.clear();
    assert.equal(session.pool.allocatedBytes, 0, `still lent after ${failed.at(-1)}`);
  }
  await session.release();
  return failed;
}
