import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ropeFrequencies, ropeTables } from "./rope-tables.ts";

const PLAIN = { theta: 10000, headWidth: 8, scaling: { kind: "none" } } as const;

describe("ropeFrequencies()", () => {
  test("falls from 1 by equal factors", () => {
    const expected = [1, 0.1, 0.01, 0.001];
    ropeFrequencies(PLAIN).forEach((f, i) => assert.ok(Math.abs(f / (expected[i] as number) - 1) < 1e-12));
  });

  test("linear scaling divides all", () => {
    const scaled = ropeFrequencies({ ...PLAIN, scaling: { kind: "linear", factor: 4 } });
    ropeFrequencies(PLAIN).forEach((f, i) => assert.equal(scaled[i], f / 4));
  });

  test("llama3 scaling keeps the fast ones, divides the slow ones, and goes between in between", () => {
    const scaling = {
      kind: "llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 128,
    } as const;
    const plain = ropeFrequencies({ ...PLAIN, headWidth: 16 });
    const scaled = ropeFrequencies({ ...PLAIN, headWidth: 16, scaling });
    for (const [i, frequency] of plain.entries()) {
      // Wavelength against the bounds of the rule: original / high and original / low.
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength < 128 / 4) assert.equal(scaled[i], frequency);
      else if (wavelength > 128 / 1) assert.equal(scaled[i], frequency / 8);
      else {
        const smooth = (128 / wavelength - 1) / (4 - 1);
        const expected = ((1 - smooth) * frequency) / 8 + smooth * frequency;
        assert.ok(Math.abs((scaled[i] as number) / expected - 1) < 1e-12);
      }
    }
    assert.ok(new Set(scaled.map((f, i) => f === plain[i])).size === 2);
  });
});

test("ropeTables() holds cosines and sines of position times frequency", () => {
  const { cos, sin } = ropeTables(PLAIN, 5);
  assert.deepEqual(cos.shape, [5, 4]);
  assert.deepEqual([...cos.data.subarray(0, 4)], [1, 1, 1, 1]);
  assert.deepEqual([...sin.data.subarray(0, 4)], [0, 0, 0, 0]);
  assert.equal(cos.data[4 * 4], Math.fround(Math.cos(4)));
  assert.equal(sin.data[3 * 4 + 1], Math.fround(Math.sin(3 * ropeFrequencies(PLAIN)[1]!)));
});
