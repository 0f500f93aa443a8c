import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RopeScaling } from "./rope-scaling.ts";
import { type RopeConfig, ropeFrequencies, ropeTables } from "./rope-tables.ts";

const PLAIN = { theta: 10000, width: 8, scaling: { kind: "none" } } as const;

/** Frequencies for a pass of so many positions. */
function frequencies(config: RopeConfig, numPositions = 5): readonly number[] {
  return ropeFrequencies(config, numPositions).frequencies;
}

function assertNear(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => assert.ok(Math.abs(value / expected[i]! - 1) < 1e-12, `${i}: ${value}`));
}

describe("ropeFrequencies()", () => {
  test("falls from 1 by equal factors", () => {
    assertNear(frequencies(PLAIN), [1, 0.1, 0.01, 0.001]);
    assert.equal(ropeFrequencies(PLAIN, 5).factor, 1);
  });

  test("angles of heads that turn the other way round are negative", () => {
    assertNear(frequencies({ ...PLAIN, backwards: true }), [-1, -0.1, -0.01, -0.001]);
    const { cos, sin } = ropeTables({ ...PLAIN, backwards: true });
    assert.equal(cos.rows(5)[4 * 4], Math.fround(Math.cos(4)));
    assert.equal(sin.rows(5)[4 * 4], Math.fround(-Math.sin(4)));
  });

  test("linear scaling divides all", () => {
    const scaled = frequencies({ ...PLAIN, scaling: { kind: "linear", factor: 4 } });
    frequencies(PLAIN).forEach((f, i) => assert.equal(scaled[i], f / 4));
  });

  test("llama3 scaling keeps the fast ones, divides the slow ones, and goes between in between", () => {
    const scaling = {
      kind: "llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 128,
    } as const;
    const plain = frequencies({ ...PLAIN, width: 16 });
    const scaled = frequencies({ ...PLAIN, width: 16, scaling });
    for (const [i, frequency] of plain.entries()) {
      // Wavelength against the bounds of the rule: original / high and original / low.
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength < 128 / 4) assert.equal(scaled[i], frequency);
      else if (wavelength > 128 / 1) assert.equal(scaled[i], frequency / 8);
      else {
        const smooth = (128 / wavelength - 1) / (4 - 1);
        const expected = ((1 - smooth) * frequency) / 8 + smooth * frequency;
        assert.ok(Math.abs(scaled[i]! / expected - 1) < 1e-12);
      }
    }
    assert.ok(new Set(scaled.map((f, i) => f === plain[i])).size === 2);
  });

  /** At this length pair i of four turns 1000 / 10^i times. */
  const originalMaxPositions = 2 * Math.PI * 1000;

  test("yarn keeps pairs that turn often, divides those that turn seldom, on a ramp over whole pairs", () => {
    const scaling: RopeScaling = {
      kind: "yarn",
      factor: 4,
      // 50 turns are pair 1.3, which is rounded down to 1; 2 turns are pair 2.7, which is rounded up to 3.
      betaFast: 50,
      betaSlow: 2,
      originalMaxPositions,
      attentionFactor: 1.25,
      truncate: true,
    };
    const { frequencies: scaled, factor } = ropeFrequencies({ ...PLAIN, scaling }, 5);
    assertNear(scaled, [1, 0.1, (0.01 + 0.01 / 4) / 2, 0.001 / 4]);
    assert.equal(factor, 1.25);
  });

  test("yarn without rounding begins its ramp between two pairs", () => {
    const scaling: RopeScaling = {
      kind: "yarn",
      factor: 4,
      // Pairs log10(1000 / 50) = 1.30 and log10(1000 / 5) = 2.30: pair 2 lies 0.70 of the way.
      betaFast: 50,
      betaSlow: 5,
      originalMaxPositions,
      attentionFactor: 1,
      truncate: false,
    };
    const share = 2 - Math.log10(20);
    const between = (1 - share) * 0.01 + (share * 0.01) / 4;
    assertNear(frequencies({ ...PLAIN, scaling }), [1, 0.1, between, 0.001 / 4]);
  });

  test("proportional scaling divides the first pairs and turns no others", () => {
    const scaled = frequencies({ ...PLAIN, scaling: { kind: "proportional", factor: 2, numTurning: 3 } });
    assertNear(scaled.slice(0, 3), [0.5, 0.05, 0.005]);
    assert.equal(scaled[3], 0);
  });

  test("longrope divides by its short factors up to the original length, and by the long ones beyond", () => {
    const scaling: RopeScaling = {
      kind: "longrope",
      shortFactors: [1, 1, 2, 4],
      longFactors: [1, 5, 10, 20],
      originalMaxPositions: 16,
      attentionFactor: 1.5,
    };
    assertNear(frequencies({ ...PLAIN, scaling }, 16), [1, 0.1, 0.005, 0.00025]);
    assertNear(frequencies({ ...PLAIN, scaling }, 17), [1, 0.02, 0.001, 0.00005]);
    assert.equal(ropeFrequencies({ ...PLAIN, scaling }, 17).factor, 1.5);
    const { cos } = ropeTables({ ...PLAIN, scaling });
    assert.deepEqual(
      [3, 16, 17].map((numPositions) => cos.numRows(numPositions)),
      [3, 16, 33],
    );
    const rows = cos.rows(33);
    assert.equal(rows[15 * 4 + 1], Math.fround(1.5 * Math.cos(15 * 0.1)));
    // Behind the rows of short texts come those of long ones.
    assert.equal(rows[16 * 4 + 1], 1.5);
    assert.equal(rows[(16 + 16) * 4 + 1], Math.fround(1.5 * Math.cos(16 * 0.02)));
  });
});

test("ropeTables() holds cosines and sines of position times frequency", () => {
  const { cos, sin } = ropeTables(PLAIN);
  assert.deepEqual([cos.width, sin.width], [4, 4]);
  const [cosines, sines] = [cos.rows(5), sin.rows(5)];
  assert.equal(cosines.length, 5 * 4);
  assert.deepEqual([...cosines.subarray(0, 4)], [1, 1, 1, 1]);
  assert.deepEqual([...sines.subarray(0, 4)], [0, 0, 0, 0]);
  assert.equal(cosines[4 * 4], Math.fround(Math.cos(4)));
  assert.equal(sines[3 * 4 + 1], Math.fround(Math.sin(3 * frequencies(PLAIN)[1]!)));
});
