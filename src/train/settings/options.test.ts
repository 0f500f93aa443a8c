import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { OPTIMIZERS } from "../../optim/optimizers.ts";
import { METHODS } from "../../peft/methods.ts";
import { OBJECTIVES } from "../objectives.ts";
import { choicesOf } from "./choices.ts";
import { TRAIN_OPTIONS, methodOptions, optimizerOptions, parseTrainOptions } from "./options.ts";
import { keysOf } from "./own-options.ts";

const NEEDED = { model: "m", data: "d", output: "o" };

describe("parseTrainOptions()", () => {
  test("fills in the defaults", () => {
    const options = parseTrainOptions(NEEDED);
    assert.equal(options.method, "lora");
    assert.equal(options.shuffle, true);
    assert.equal(options.resume, false);
  });

  test("names every problem at once, what is expected, and the nearest key", () => {
    const settings = {
      model: "m",
      data: 1,
      bathSize: 2,
      seed: -1,
      learning_rate: 1,
      lora_alpha: 3,
      dropout: 7,
    };
    assert.throws(
      () => parseTrainOptions(settings),
      (error: Error) => {
        assert.deepEqual(
          error.message
            .split("\n")
            .map((line) => line.trim())
            .toSorted(),
          [
            "Cannot use these settings: 7 problems",
            "bathSize is not a setting, the nearest is batchSize",
            "data is 1, expected a path or a non-empty list of paths or a non-empty list of objects",
            "dropout is 7, expected a number of at least 0 and below 1",
            "learning_rate is not a setting, the nearest is learningRate",
            "lora_alpha is not a setting: it is called alpha here",
            "output is missing",
            "seed is -1, expected a whole number of at least 0",
          ],
        );
        return true;
      },
    );
  });

  test("judges an option by what was chosen, and says whose an option is", () => {
    const message = (settings: object): string => {
      try {
        parseTrainOptions({ ...NEEDED, ...settings });
      } catch (error) {
        return (error as Error).message.replace("Cannot use these settings: ", "");
      }
      return "no error";
    };
    assert.equal(
      message({ init: "clip" }),
      'init is "clip", expected one of default, gaussian, pissa, olora',
    );
    assert.equal(
      message({ objective: "classification", classes: ["spam"] }),
      'classes is ["spam"], expected a list of at least 2 texts',
    );
    assert.equal(
      message({ method: "road", groupSize: 3 }),
      "groupSize is 3, expected an even number of at least 2",
    );
    const ranked = METHODS.filter(({ options }) => "rank" in (options as z.ZodObject).shape);
    assert.ok(ranked.length > 4);
    assert.equal(
      message({ method: "full", rank: 3 }),
      `rank is for method ${ranked.map(({ name }) => name).join(", ")}, not for full`,
    );
    assert.equal(
      message({ objective: "dpo", lossType: "ipo", labelSmoothing: 0.1 }),
      "labelSmoothing is 0.1, expected 0 unless the loss is sigmoid",
    );
    assert.equal(
      message({ optimizer: "sgd", momentum: 0, nesterov: true }),
      "nesterov is true, expected false, as there is no momentum",
    );
    assert.equal(message({ load_in_4bit: true }), "load_in_4bit is not a setting");
    assert.equal(message({ output: "" }), 'output is "", expected a path');
    for (const residentMemory of [200, "200"])
      assert.equal(
        message({ residentMemory }),
        `residentMemory is ${JSON.stringify(residentMemory)}, expected a size such as 200MB or 1.5GB, of at least a million bytes`,
      );
  });

  test("says what is there in the place of settings", () => {
    assert.throws(() => parseTrainOptions(null), {
      message: "Cannot use these settings: null, expected values by name",
    });
  });

  test("advises where only other tools have a setting", () => {
    assert.throws(() => parseTrainOptions({ ...NEEDED, load_in_4bit: true }), {
      hint: /^Weights are kept as they are stored: give a quantized/,
    });
  });

  test("takes epochs or steps, and resumes or overwrites, not both", () => {
    assert.throws(() => parseTrainOptions({ ...NEEDED, epochs: 1, steps: 1 }), { code: "usage/flag" });
    assert.throws(() => parseTrainOptions({ ...NEEDED, resume: true, overwrite: true }), {
      code: "usage/flag",
      message: "Cannot use these settings: resume and overwrite are both given, expected one of them",
    });
    assert.equal(parseTrainOptions({ ...NEEDED, resume: true, overwrite: false }).resume, true);
  });

  test("has every option of every method and optimizer, each with a description", () => {
    const keys = [...METHODS, ...OPTIMIZERS].flatMap(keysOf);
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
    hint: '"accumulation" is now "gradientAccumulationSteps". "keepWidened" is now "weights". See graft train --help for every setting.',
  });
});

describe("a method that is not in the list", () => {
  const own = {
    ...METHODS[0]!,
    name: "own",
    options: z.strictObject({ width: z.int().default(3) }),
  };

  test("is known, with its options, where it is passed along", () => {
    const methods = [...METHODS, own];
    const options = parseTrainOptions({ ...NEEDED, method: "own", width: 5 }, choicesOf({ methods }));
    assert.deepEqual(methodOptions(options, methods), { width: 5 });
    assert.throws(() => parseTrainOptions({ ...NEEDED, method: "own" }), { code: "usage/flag" });
    assert.throws(() => parseTrainOptions({ ...NEEDED, width: 5 }), /width/);
  });
});

test("an option of one's own that is called as another setting is refused: a value would be that of both", () => {
  for (const name of ["power", "alpha", "beta1"]) {
    const options = z.strictObject({ [name]: z.number().default(2) });
    const own = { ...OBJECTIVES[0]!, name: "own", options };
    const settings = { ...NEEDED, objective: "own", [name]: 1.5 };
    assert.throws(() => parseTrainOptions(settings, choicesOf({ objectives: [...OBJECTIVES, own] })), {
      code: "usage/flag",
      message: `Cannot take option "${name}": another setting has that name`,
    });
  }
});

test("a method or objective of one's own that is called as another is refused: the other would be taken", () => {
  for (const choices of [
    { methods: [...METHODS, METHODS[1]!] },
    { objectives: [...OBJECTIVES, OBJECTIVES[0]!] },
  ])
    assert.throws(() => parseTrainOptions(NEEDED, choicesOf(choices)), {
      code: "usage/flag",
      message: /two in the list have that name/,
    });
});

describe("options of the chosen kind", () => {
  test("only those that were given are passed on", () => {
    const options = parseTrainOptions({ ...NEEDED, rank: 3, beta2: 0.5 });
    assert.deepEqual(methodOptions(options), { rank: 3 });
    assert.deepEqual(optimizerOptions(options), { beta2: 0.5 });
  });

  test("one of another kind is refused", () => {
    const settings = { ...NEEDED, method: "full", rank: 3, optimizer: "sgd", beta1: 0.5 };
    const owners = OPTIMIZERS.filter((one) => keysOf(one).includes("beta1")).map(({ name }) => name);
    assert.throws(
      () => parseTrainOptions(settings),
      new RegExp(`rank is for .*\\n.*beta1 is for optimizer ${owners.join(", ")}, not`),
    );
  });
});
