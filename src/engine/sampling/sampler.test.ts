import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Random } from "../../random.ts";
import { type Draw, GREEDY, SAMPLING_OPTIONS, sampleToken } from "./sampler.ts";

const NUM_DRAWS = 4000;

/** Share of each id in many draws. */
function shares(logits: readonly number[], options: Partial<Draw>): number[] {
  const random = new Random(11);
  const counts = logits.map(() => 0);
  const array = Float32Array.from(logits);
  for (let i = 0; i < NUM_DRAWS; i++) {
    const id = sampleToken(array, { ...GREEDY, temperature: 1, ...options }, random);
    counts[id] = counts[id]! + 1;
  }
  return counts.map((count) => count / NUM_DRAWS);
}

function assertShares(actual: readonly number[], expected: readonly number[]): void {
  for (const [id, share] of expected.entries()) {
    const found = actual[id]!;
    // Four standard deviations.
    const allowed = 4 * Math.sqrt((share * (1 - share)) / NUM_DRAWS);
    assert.ok(Math.abs(found - share) <= allowed, `id ${id}: ${found}, expected ${share}`);
  }
}

const LOG = [0.1, 0.2, 0.3, 0.4].map(Math.log);

test("temperature 0 takes the largest logit, the lowest id of equal ones, and draws nothing", () => {
  const random = new Random(1);
  assert.equal(sampleToken(Float32Array.of(-1, 3, 2, 3), GREEDY, random), 1);
  assert.equal(sampleToken(Float32Array.of(0, 0), GREEDY, random), 0);
  assert.equal(random.uint32(), new Random(1).uint32());
});

test("temperature 1 draws each id with its probability", () => {
  assertShares(shares(LOG, {}), [0.1, 0.2, 0.3, 0.4]);
});

test("a lower temperature sharpens: the weights are powers of the probabilities", () => {
  assertShares(shares(LOG, { temperature: 0.5 }), [1 / 30, 4 / 30, 9 / 30, 16 / 30]);
});

test("top-k draws from the k likeliest alone, and of equal logits from the lowest ids", () => {
  assertShares(shares(LOG, { topK: 2 }), [0, 0, 3 / 7, 4 / 7]);
  assertShares(shares([1, 1, 1, 0], { topK: 2 }), [0.5, 0.5, 0, 0]);
  assertShares(shares(LOG, { topK: 9 }), [0.1, 0.2, 0.3, 0.4]);
});

test("top-p draws from the fewest ids whose probabilities reach p", () => {
  assertShares(shares(LOG, { topP: 0.65 }), [0, 0, 3 / 7, 4 / 7]);
  assertShares(shares(LOG, { topP: 0.75 }), [0, 2 / 9, 3 / 9, 4 / 9]);
  assertShares(shares(LOG, { topP: 0.01 }), [0, 0, 0, 1]);
});

test("top-p counts over what top-k has left", () => {
  // Of 3/7 and 4/7 the larger alone reaches 0.5; without top-k it would not.
  assertShares(shares(LOG, { topK: 2, topP: 0.5 }), [0, 0, 0, 1]);
});

test("huge and tiny logits overflow nothing", () => {
  assertShares(shares([1e30, 1e30, -1e30, 0], {}), [0.5, 0.5, 0, 0]);
  assertShares(shares([Number.NEGATIVE_INFINITY, 5], {}), [0, 1]);
});

test("equal seeds draw equal ids and other seeds others", () => {
  const logits = Float32Array.from({ length: 50 }, (_, i) => Math.sin(i));
  const draw = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 20 }, () => sampleToken(logits, { ...GREEDY, temperature: 1 }, random));
  };
  assert.deepEqual(draw(3), draw(3));
  assert.notDeepEqual(draw(3), draw(4));
});

test("numbers that are rounded otherwise hardly ever draw another id, however many there are", () => {
  const random = new Random(3);
  const logits = Float32Array.from({ length: 20_000 }, () => 3 * random.normal());
  const rounded = logits.map((logit) => logit + 1e-3 * random.normal());
  const draw = (from: Float32Array, seed: number): number =>
    sampleToken(from, { ...GREEDY, temperature: 1 }, new Random(seed));
  const others = Array.from({ length: 300 }, (_, seed) => seed).filter(
    (seed) => draw(logits, seed) !== draw(rounded, seed),
  );
  // A draw by sums of weights gives another one in some forty of these.
  assert.ok(others.length <= 2, others.join());
});

test("of many ids each is drawn with its probability", () => {
  const logits = Float32Array.from({ length: 3000 }, (_, id) => (id % 3 === 0 ? 1 : 0));
  const random = new Random(5);
  let [numHigh, numEven] = [0, 0];
  for (let i = 0; i < NUM_DRAWS; i++) {
    const id = sampleToken(logits, { ...GREEDY, temperature: 1 }, random);
    numHigh += Number(id % 3 === 0);
    numEven += Number(id % 2 === 0);
  }
  assertShares([numHigh / NUM_DRAWS, numEven / NUM_DRAWS], [Math.E / (Math.E + 2), 0.5]);
});

test("every draw is one of the k likeliest and inside the nucleus that sorting everything gives", () => {
  const logits = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 40 });
  const settings = {
    temperature: fc.double({ min: 0.1, max: 3, noNaN: true }),
    topK: fc.nat(45),
    topP: fc.double({ min: 0.01, max: 1, noNaN: true }),
    minP: fc.constantFrom(0, 0.05, 0.5, 1),
  };
  fc.assert(
    fc.property(logits, fc.record(settings), fc.nat(), (values, options, seed) => {
      const array = Float32Array.from(values);
      const order = [...array.keys()].sort((a, b) => array[b]! - array[a]! || a - b);
      const k = options.topK === 0 ? order.length : Math.min(options.topK, order.length);
      const best = array[order[0]!]!;
      const weights = order.slice(0, k).map((id) => Math.exp((array[id]! - best) / options.temperature));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      let [sum, count] = [0, 0];
      // A crumb more, for sums in another order.
      while (count < k && sum < (options.topP + 1e-9) * total) sum += weights[count++]!;
      const id = sampleToken(array, options, new Random(seed));
      assert.ok(order.slice(0, count).includes(id), `${id} is not in ${order.slice(0, count).join()}`);
      assert.ok(weights[order.indexOf(id)]! >= options.minP, `${id} is below ${options.minP}`);
    }),
  );
});

test("the schema refuses settings that mean nothing", () => {
  for (const bad of [{ temperature: -1 }, { topP: 0 }, { topP: 1.5 }, { topK: -1 }, { topK: 1.5 }]) {
    assert.equal(SAMPLING_OPTIONS.safeParse(bad).success, false, JSON.stringify(bad));
  }
  assert.deepEqual(SAMPLING_OPTIONS.parse({}), { ...GREEDY, seed: 0 });
});
