/** @file Five steps of every optimizer against plain float64 loops and, for AdamW, against PyTorch. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UsageError } from "../../src/errors.ts";
import { OPTIMIZERS, findOptimizer } from "../../src/optim/optimizers.ts";
import { createUpdater } from "../../src/optim/updater.ts";
import { createEngine } from "../../src/runtime/create-engine.ts";
import { gradientsOf, groupOf } from "../tiny/one-group.ts";

const engine = createEngine({ threads: 1 });

const START = [1, -2, 0.5, 3];
const GRADIENTS = [
  [0.1, -0.2, 0.3, 0],
  [1.5, 0.4, -0.3, 0.2],
  [-0.7, 0.05, 0, -1e-3],
  [0.2, 0.2, 0.2, 0.2],
  [-2, 1, -0.5, 0.25],
];
const LEARNING_RATES = [0.01, 0.02, 0.03, 0.02, 0.01];
const DECAY = 0.1;

/** One parameter, one step, in float64: takes and returns [parameter, ...state]. */
type Rule = (now: readonly number[], g: number, rate: number, step: number) => number[];

interface Expectation {
  readonly optimizer: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly rule: Rule;
}

const adamRule =
  (beta1: number, beta2: number, epsilon: number): Rule =>
  ([p, m, v], g, rate, step) => {
    const first = beta1 * m! + (1 - beta1) * g;
    const second = beta2 * v! + (1 - beta2) * g ** 2;
    const mean = first / (1 - beta1 ** step);
    const square = second / (1 - beta2 ** step);
    return [p! - rate * DECAY * p! - (rate * mean) / (Math.sqrt(square) + epsilon), first, second];
  };

const sgdRule =
  (momentum: number, nesterov: boolean): Rule =>
  ([p, b], g, rate) => {
    const next = momentum * b! + g;
    const direction = nesterov ? g + momentum * next : next;
    return [p! - rate * DECAY * p! - rate * direction, next];
  };

const lionRule =
  (beta1: number, beta2: number): Rule =>
  ([p, m], g, rate) => {
    const direction = Math.sign(beta1 * m! + (1 - beta1) * g);
    return [p! - rate * DECAY * p! - rate * direction, beta2 * m! + (1 - beta2) * g];
  };

const EXPECTATIONS: readonly Expectation[] = [
  { optimizer: "adamw", options: {}, rule: adamRule(0.9, 0.999, 1e-8) },
  {
    optimizer: "adamw",
    options: { beta1: 0.8, beta2: 0.95, epsilon: 1e-3 },
    rule: adamRule(0.8, 0.95, 1e-3),
  },
  { optimizer: "sgd", options: {}, rule: sgdRule(0.9, false) },
  { optimizer: "sgd", options: { momentum: 0 }, rule: sgdRule(0, false) },
  { optimizer: "sgd", options: { momentum: 0.7, nesterov: true }, rule: sgdRule(0.7, true) },
  { optimizer: "lion", options: {}, rule: lionRule(0.9, 0.99) },
  { optimizer: "lion", options: { beta1: 0.5, beta2: 0.8 }, rule: lionRule(0.5, 0.8) },
];

/**
 * AdamW of torch 2.13.0 in float64, after each step:
 *   p = tensor(START); o = torch.optim.AdamW([p], betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
 *   each step: p.grad = tensor(GRADIENTS[step]); o.param_groups[0]["lr"] = LEARNING_RATES[step]; o.step()
 */
const TORCH_ADAMW = [
  [0.9890000009999999, -1.9880000005, 0.4895000003333333, 2.997],
  [0.9712812063482767, -1.9913460708082074, 0.4895736318765263, 2.9761232645807656],
  [0.9599160192686754, -1.9959400136855467, 0.4893254418231275, 2.950034383339097],
  [0.9520213302778071, -2.001945559377111, 0.4839885951798385, 2.929288673214004],
  [0.9536412466524661, -2.0067030979075193, 0.486226728937312, 2.918045934791667],
];

/** Runs five steps; the parameters and the state after each. The gradients come doubled and are scaled back. */
async function fiveSteps(name: string, given: Readonly<Record<string, unknown>>) {
  const optimizer = findOptimizer(name);
  const parameters = Float32Array.from(START);
  const updater = await createUpdater(engine, optimizer, optimizer.options.parse(given), {
    groups: groupOf(parameters),
  });
  const trace: { parameters: number[]; state: number[][] }[] = [];
  for (const [i, gradients] of GRADIENTS.entries()) {
    await updater.step({
      gradients: gradientsOf(Float32Array.from(gradients, (g) => 2 * g)),
      gradientScale: 0.5,
      learningRate: LEARNING_RATES[i]!,
      weightDecay: DECAY,
    });
    const state = [];
    for (const slot of optimizer.slots) state.push([...(await updater.state[0]!.slots[slot]!.read())]);
    trace.push({ parameters: [...parameters], state });
  }
  await updater.release();
  return trace;
}

function assertClose(actual: readonly number[], expected: readonly number[], what: string): void {
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(actual[i]! - value);
    assert.ok(
      error <= 1e-6 * Math.max(1e-3, Math.abs(value)),
      `${what}[${i}] is ${actual[i]}, expected ${value}`,
    );
  }
}

for (const optimizer of OPTIMIZERS) {
  describe(`optimizer ${optimizer.name}`, () => {
    const own = EXPECTATIONS.filter((e) => e.optimizer === optimizer.name);

    test("has five steps written down for its defaults and for other options", () => {
      const hasDefaults = own.some(({ options }) => Object.keys(options).length === 0);
      assert.ok(hasDefaults, `add a rule for the defaults of "${optimizer.name}" to EXPECTATIONS`);
      const tried = new Set(own.flatMap(({ options }) => Object.keys(options)));
      const all = Object.keys(optimizer.options.parse({}) as object);
      const untried = all.filter((key) => !tried.has(key));
      assert.deepEqual(untried, [], `add a rule with ${untried.join(", ")} to EXPECTATIONS`);
    });

    for (const { options, rule } of own) {
      test(`five steps with ${JSON.stringify(options)} equal a plain loop in float64`, async () => {
        const now = START.map((p) => [p, ...optimizer.slots.map(() => 0)]);
        for (const [i, { parameters, state }] of (await fiveSteps(optimizer.name, options)).entries()) {
          for (const [j, values] of now.entries()) {
            now[j] = rule(values, GRADIENTS[i]![j]!, LEARNING_RATES[i]!, i + 1);
          }
          assertClose(
            parameters,
            now.map((values) => values[0]!),
            `parameters after step ${i + 1}`,
          );
          for (const [k, slot] of optimizer.slots.entries()) {
            assertClose(
              state[k]!,
              now.map((values) => values[k + 1]!),
              `${slot} after step ${i + 1}`,
            );
          }
        }
      });
    }

    test("refuses an option that it does not have, and each option out of its range", () => {
      const defaults = optimizer.options.parse({}) as Record<string, unknown>;
      assert.equal(optimizer.options.safeParse({ ...defaults, other: 1 }).success, false);
      for (const [name, value] of Object.entries(defaults)) {
        assert.equal(typeof value === "number" || typeof value === "boolean", true);
        const wrong = { ...defaults, [name]: typeof value === "number" ? -1 : "yes" };
        assert.equal(optimizer.options.safeParse(wrong).success, false, name);
      }
    });

    test("names its paper", () => {
      assert.ok(optimizer.paper.title.length > 10);
      assert.match(optimizer.paper.url, /^https:\/\//);
    });
  });
}

test("adamw gives the numbers of torch.optim.AdamW", async () => {
  for (const [i, { parameters }] of (await fiveSteps("adamw", {})).entries()) {
    assertClose(parameters, TORCH_ADAMW[i]!, `parameters after step ${i + 1}`);
  }
});

test("names and papers are unique, and findOptimizer() names those there are", () => {
  assert.equal(new Set(OPTIMIZERS.map((o) => o.name)).size, OPTIMIZERS.length);
  assert.equal(new Set(OPTIMIZERS.map((o) => o.paper.url)).size, OPTIMIZERS.length);
  assert.throws(
    () => findOptimizer("adam"),
    (error) =>
      error instanceof UsageError &&
      error.message.endsWith(`"adam": expected one of ${OPTIMIZERS.map((o) => o.name).join(", ")}`),
  );
});
