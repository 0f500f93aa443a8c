import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { OPTIMIZERS } from "../optim/optimizers.ts";
import type { Method } from "../peft/method.ts";
import { METHODS } from "../peft/methods.ts";
import { TRAIN_OPTIONS, methodOptions, optimizerOptions, parseTrainOptions } from "./options.ts";

const NEEDED = { model: "m", data: "d", output: "o" };

describe("parseTrainOptions()", () => {
  test("fills in the defaults", () => {
    const options = parseTrainOptions(NEEDED);
    assert.equal(options.method, "lora");
    assert.equal(options.shuffle, true);
    assert.equal(options.resume, false);
  });

  test("names every problem at once", () => {
    assert.throws(() => parseTrainOptions({ model: "m", data: 1, output: "o", bathSize: 2, seed: -1 }), {
      code: "usage/flag",
      message:
        /^Cannot use these settings:[\s\S]*bathSize[\s\S]*data[\s\S]*seed|data[\s\S]*seed[\s\S]*bathSize/,
    });
  });

  test("takes epochs or steps, not both", () => {
    assert.throws(() => parseTrainOptions({ ...NEEDED, epochs: 1, steps: 1 }), { code: "usage/flag" });
  });

  test("has every option of every method and optimizer, each with a description", () => {
    const keys = [...METHODS, ...OPTIMIZERS].flatMap(({ options }) =>
      Object.keys((options as unknown as { shape: object }).shape),
    );
    assert.ok(keys.length > 5);
    for (const key of keys) assert.ok(key in TRAIN_OPTIONS.shape, key);
    for (const [key, schema] of Object.entries(TRAIN_OPTIONS.shape)) {
      assert.ok((schema as { description?: string }).description, `${key} has no description`);
    }
  });
});

test("an old name of a setting is refused with the name of today", () => {
  assert.throws(() => parseTrainOptions({ ...NEEDED, accumulation: 2, keepWidened: true }), {
    code: "usage/flag",
    hint: '"accumulation" is now "gradientAccumulationSteps". "keepWidened" is now "weights".',
  });
});

describe("a method that is not in the list", () => {
  const own = {
    ...(METHODS[0] as Method),
    name: "own",
    options: z.strictObject({ width: z.int().default(3) }),
  };

  test("is known, with its options, where it is passed along", () => {
    const methods = [...METHODS, own];
    const options = parseTrainOptions({ ...NEEDED, method: "own", width: 5 }, methods);
    assert.deepEqual(methodOptions(options, methods), { width: 5 });
    assert.throws(() => parseTrainOptions({ ...NEEDED, method: "own" }), { code: "usage/flag" });
    assert.throws(() => parseTrainOptions({ ...NEEDED, width: 5 }), /width/);
  });
});

describe("options of the chosen kind", () => {
  test("only those that were given are passed on", () => {
    const options = parseTrainOptions({ ...NEEDED, rank: 3, beta2: 0.5 });
    assert.deepEqual(methodOptions(options), { rank: 3 });
    assert.deepEqual(optimizerOptions(options), { beta2: 0.5 });
  });

  test("one of another kind is refused", () => {
    const options = parseTrainOptions({ ...NEEDED, method: "full", rank: 3, optimizer: "sgd", beta1: 0.5 });
    assert.throws(() => methodOptions(options), /Cannot use rank with method "full": expected no options/);
    assert.throws(() => optimizerOptions(options), /Cannot use beta1 with optimizer "sgd"/);
  });
});
