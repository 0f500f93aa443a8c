/** @file Asserts that a run is refused with a message that helps, and that nothing was written. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { GraftError } from "../../src/errors.ts";
import type { LooseTrainInput } from "../../src/train/settings/options.ts";
import { train } from "../../src/train/trainer.ts";
import { TINY_RUN, snapshot } from "../train/tiny-run.ts";

/** What an error must say. */
interface Refusal {
  readonly code: string;
  /** Every one of them: the thing, what was found, what was expected. */
  readonly says: readonly (string | RegExp)[];
  /** The remedy. */
  readonly hint: RegExp;
}

/** Runs a training that must be refused before its output folder is touched. */
export async function assertRefused(input: LooseTrainInput, refusal: Refusal): Promise<void> {
  const { output } = input;
  const before = existsSync(output) ? snapshot(output) : null;
  await assert.rejects(train({ ...TINY_RUN, ...input }), (error) => {
    assertSays(error, refusal);
    return true;
  });
  assert.deepEqual(existsSync(output) ? snapshot(output) : null, before, "the output was touched");
}

/** Asserts what an error says. */
export function assertSays(error: unknown, { code, says, hint }: Refusal): void {
  assert.ok(error instanceof GraftError, String((error as Error).stack));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, /^Cannot /);
  for (const word of says) {
    if (typeof word === "string")
      assert.ok(error.message.includes(word), `"${error.message}" lacks "${word}"`);
    else assert.match(error.message, word);
  }
  assert.match(error.hint ?? "no hint", hint);
}
