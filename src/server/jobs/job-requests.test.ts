/** @file What a request for a job may say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBody, parseValues } from "../route.ts";
import { JOB_REQUEST } from "./job-requests.ts";

const pairs = (count: number): object =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`key-${i}`, "value"]));

const parse = (metadata: unknown): unknown =>
  parseValues({ model: "tiny", training_file: "file-1", metadata }, JOB_REQUEST).metadata;

test("metadata are at most 16 pairs, of keys with up to 64 characters and values with up to 512", () => {
  // A character is one, however many units it takes.
  for (const fits of [
    {},
    pairs(16),
    { ["k".repeat(64)]: "v".repeat(512) },
    { ["🔑".repeat(64)]: "🔒".repeat(512) },
  ]) {
    assert.deepEqual(parse(fits), fits);
  }
  const cases: [unknown, string, RegExp][] = [
    [pairs(17), "metadata", /16 pairs/],
    [{ ["k".repeat(65)]: "v" }, "metadata", /keys of at most 64 characters/],
    [{ ["k".repeat(60_000)]: "v" }, "metadata", /keys of at most 64 characters/],
    [{ right: "v", wrong: "v".repeat(513) }, "metadata.wrong", /at most 512 characters/],
    [{ wrong: 7 }, "metadata.wrong", /^metadata\.wrong is 7, expected/],
    [{ wrong: null }, "metadata.wrong", /expected/],
    ["text", "metadata", /expected/],
    [["text"], "metadata", /expected/],
  ];
  for (const [metadata, param, message] of cases) {
    assert.throws(
      () => parse(metadata),
      (error: Error & { status: number; code: string; param: string }) => {
        assert.deepEqual([error.status, error.code, error.param], [400, "invalid_value", param]);
        assert.match(error.message, message);
        assert.ok(error.message.length < 1000, `${error.message.length}`);
        return true;
      },
    );
  }
  assert.throws(() => parse({ ...pairs(17), ["k".repeat(65)]: "v", a: "v".repeat(513) }), {
    message: /512 characters; metadata is .*, expected at most 16 pairs, and keys of at most 64 characters$/,
  });
});

test("an averaged training has no file to be evaluated on, nothing to go on from, and nothing that ends it early", () => {
  const request = { model: "tiny", training_file: "file-1" };
  const graft = { steps: 4, averaging: { shares: 2, syncEvery: 2 } };
  assert.ok(parseValues({ ...request, graft }, JOB_REQUEST));
  const cases: [string, object][] = [
    ["validation_file", { graft, validation_file: "file-2" }],
    ["graft.earlyStopping", { graft: { ...graft, evalShare: 0.2, earlyStopping: 1 } }],
    ["graft.evalMetric", { graft: { ...graft, evalShare: 0.2, evalMetric: "loss" } }],
  ];
  for (const [param, own] of cases) {
    assert.throws(
      () => parseValues({ ...request, ...own }, JOB_REQUEST),
      (error: Error & { status: number; param: string }) => {
        assert.deepEqual([error.status, error.param], [400, param]);
        assert.match(error.message, /an averaged training has none: leave it out/);
        return true;
      },
    );
  }
});

test("a key that schemas of mappings drop is refused wherever it is, and as what no key can be called", () => {
  const cases: [string, string][] = [
    ["graft.__proto__", '{"graft": {"__proto__": {"rank": 4}}}'],
    ["graft.rankPattern.__proto__", '{"graft": {"rankPattern": {"q_proj": 4, "__proto__": 2}}}'],
    ["metadata.__proto__", '{"metadata": {"__proto__": "a"}}'],
    ["integrations[0].__proto__", '{"integrations": [{"\\u005f_proto__": null}]}'],
  ];
  for (const [param, body] of cases) {
    assert.throws(
      () =>
        parseBody(Buffer.from(`{"model": "tiny", "training_file": "file-1", ${body.slice(1)}`), JOB_REQUEST),
      { status: 400, param, message: `${param} cannot be the name of a key, expected another` },
    );
  }
});

test("hyperparameters stand in one place, their own or that of the method", () => {
  const request = { model: "tiny", training_file: "file-1" };
  const own = { hyperparameters: { n_epochs: 1 } };
  const nested = { type: "supervised", supervised: { hyperparameters: { n_epochs: 2 } } };
  for (const fits of [own, { method: nested }, { ...own, method: { type: "supervised" } }])
    assert.ok(parseValues({ ...request, ...fits }, JOB_REQUEST));
  assert.throws(() => parseValues({ ...request, ...own, method: nested }, JOB_REQUEST), {
    status: 400,
    param: "hyperparameters",
    message: /in one place/,
  });
});

test("hyperparameters out of range are told by their key, wherever they stand", () => {
  const request = { model: "tiny", training_file: "file-1" };
  for (const own of [{ n_epochs: 0 }, { batch_size: 0 }, { learning_rate_multiplier: -1 }, { beta: 0 }]) {
    const [[key, value] = []] = Object.entries(own);
    const nested = { type: "dpo", dpo: { hyperparameters: own } };
    for (const [sent, place] of [
      [{ hyperparameters: own }, "hyperparameters"],
      [{ method: nested }, "method.dpo.hyperparameters"],
    ] as const) {
      assert.throws(() => parseValues({ ...request, ...sent }, JOB_REQUEST), {
        status: 400,
        param: `${place}.${key}`,
        message: new RegExp(`${key} is ${value}, expected auto or a (whole )?number (above 0|of at least 1)`),
      });
    }
  }
});

test("what a job has in two forms says the same in both", () => {
  const request = { model: "tiny", training_file: "file-1" };
  const dpo = { type: "dpo", dpo: { hyperparameters: { beta: 0.2, batch_size: 2 } } };
  for (const fits of [
    { seed: 1, graft: { seed: 1 } },
    { graft: { seed: 1, objective: "dpo" } },
    { method: dpo, graft: { objective: "dpo", beta: 0.2, batchSize: 2, epochs: 3, learningRate: 0.01 } },
    { method: { type: "supervised" }, graft: { objective: "cross-entropy" } },
    { hyperparameters: { batch_size: "auto" }, graft: { batchSize: 8 } },
  ])
    assert.ok(parseValues({ ...request, ...fits }, JOB_REQUEST));
  const cases: [object, string, RegExp][] = [
    [
      { seed: 2, graft: { seed: 1 } },
      "graft.seed",
      /^graft\.seed is 1, while seed is 2: give one of the two$/,
    ],
    [
      { method: { type: "dpo" }, graft: { objective: "kto" } },
      "graft.objective",
      /^graft\.objective is "kto", while method\.type is "dpo": give/,
    ],
    [
      { method: { type: "supervised" }, graft: { objective: "dpo" } },
      "graft.objective",
      /type is "supervised"/,
    ],
    [
      { hyperparameters: { batch_size: 4 }, graft: { batchSize: 8 } },
      "graft.batchSize",
      /hyperparameters\.batch_size is 4/,
    ],
    [
      { hyperparameters: { n_epochs: 1 }, graft: { epochs: 2 } },
      "graft.epochs",
      /while hyperparameters\.n_epochs is 1/,
    ],
    [{ method: dpo, graft: { beta: 0.1 } }, "graft.beta", /while method\.dpo\.hyperparameters\.beta is 0\.2/],
    [
      { hyperparameters: { learning_rate_multiplier: 2 }, graft: { learningRate: 0.1 } },
      "graft.learningRate",
      /is 0\.1, while hyperparameters\.learning_rate_multiplier is 2 times/,
    ],
  ];
  for (const [own, param, message] of cases)
    assert.throws(() => parseValues({ ...request, ...own }, JOB_REQUEST), { status: 400, param, message });
});

test("what a job cannot have is told with what it can", () => {
  const averaged =
    '"graft": {"steps": 4, "averaging": {"shares": 1e400, "syncEvery": 2, "outerMomentum": 1}}';
  const cases: [string, RegExp][] = [
    [
      '"seed": 9007199254740992',
      /^seed is 9007199254740992, expected a whole number of at least 0, below 2\^53$/,
    ],
    [
      '"hyperparameters": {"n_epochs": 1e300}',
      /n_epochs is 1e\+300, expected auto or a number above 0 and of at most 1000000$/,
    ],
    ['"hyperparameters": {"n_epochs": 90071992547409921}', /n_epochs is 90071992547409921, expected/],
    [
      '"graft": {"steps": 9007199254740991, "averaging": {"shares": 2, "syncEvery": 2}}',
      /^graft\.averaging\.syncEvery is 2, expected at least 90071992548, for at most 100000 rounds$/,
    ],
    ['"method": {"type": "classification"}', /expected one of supervised, cross-entropy, dpo, orpo, kto$/],
    ['"seed": -1', /^seed is -1, expected a whole number of at least 0$/],
    ['"seed": 0.5', /^seed is 0\.5, expected a whole number of at least 0$/],
    ['"seed": 1e400', /^seed is Infinity, expected a whole number of at least 0$/],
    [
      '"hyperparameters": {"n_epochs": 1e400}',
      /n_epochs is Infinity, expected auto or a number above 0 and of at most 1000000$/,
    ],
    [
      averaged,
      /shares is Infinity, expected a whole number from 1 to 64; .*Momentum is 1, expected a number of at least 0 and below 1$/,
    ],
  ];
  for (const [sent, message] of cases) {
    const body = Buffer.from(`{"model": "tiny", "training_file": "file-1", ${sent}}`);
    assert.throws(() => parseBody(body, JOB_REQUEST), { status: 400, code: "invalid_value", message });
  }
});
