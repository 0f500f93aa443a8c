/**
 * @file Cosine and sine tables of rotary position embeddings, plain or scaled.
 *
 * Frequencies θ_i = base^(-2i/W) over the W rotated columns of a head. How a context is stretched beyond the one that a
 * model was trained on: `rope-scaling.ts`.
 */
import { type RopeScaling, scaleFrequencies } from "./rope-scaling.ts";
import type { PositionTable } from "../pass.ts";

export interface RopeConfig {
  readonly theta: number;
  /** Columns of a head that are rotated, the first ones. */
  readonly width: number;
  /** Whether pairs of them are neighbours; default: halves. */
  readonly neighbours?: true;
  /** Whether they are turned the other way round: by negative angles. */
  readonly backwards?: true;
  readonly scaling: RopeScaling;
}

/** The angle per position of each pair, W/2 numbers, and the factor on cosine and sine. */
export function ropeFrequencies(
  { theta, width, scaling, backwards }: RopeConfig,
  numPositions: number,
): { readonly frequencies: readonly number[]; readonly factor: number } {
  const plain = Array.from({ length: width / 2 }, (_, i) => theta ** ((-2 * i) / width));
  const { frequencies, factor } = scaleFrequencies(plain, scaling, theta, numPositions);
  return { frequencies: backwards ? frequencies.map((angle) => -angle) : frequencies, factor };
}

/** The tables of a configuration, [R, W/2] each. */
export function ropeTables(config: RopeConfig): { readonly cos: PositionTable; readonly sin: PositionTable } {
  const table = (name: string, of: (angle: number) => number): PositionTable => ({
    name: `${name}(${JSON.stringify(config)})`,
    width: config.width / 2,
    key: (numPositions) => JSON.stringify(ropeFrequencies(config, numPositions)),
    rows: (numPositions, numRows) => {
      const { frequencies, factor } = ropeFrequencies(config, numPositions);
      const half = frequencies.length;
      const values = new Float32Array(numRows * half);
      for (let p = 0; p < numRows; p++) {
        for (let i = 0; i < half; i++) values[p * half + i] = factor * of(p * frequencies[i]!);
      }
      return values;
    },
  });
  return { cos: table("cos", Math.cos), sin: table("sin", Math.sin) };
}
