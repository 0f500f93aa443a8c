/**
 * @file Cosine and sine tables of rotary position embeddings, plain or scaled.
 *
 * Frequencies θ_i = base^(-2i/W) over the W rotated columns of a head. `rope-scaling.ts` changes them for contexts longer than a
 * model was trained on.
 */
import { type PassInput, POSITIONS, type PositionTable, positionsByLength } from "../pass.ts";
import { type RopeScaling, numAlikePositions, scaleFrequencies } from "./rope-scaling.ts";

export interface RopeConfig {
  readonly theta: number;
  /** Number of columns of a head that are rotated, from the first on. */
  readonly width: number;
  /** Whether pairs of them are neighbours; default: they lie half of `width` apart. */
  readonly neighbours?: true;
  /** Whether they are rotated by negative angles. */
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

/** Tables [R, W/2] of cosines and sines, and the rows that tokens look up. */
interface RotationTables {
  readonly cos: PositionTable;
  readonly sin: PositionTable;
  readonly positions: PassInput;
}

/** Makes the tables of a configuration. Longer texts with other frequencies have rows after those of shorter texts. */
export function ropeTables(config: RopeConfig): RotationTables {
  const numShort = numAlikePositions(config.scaling);
  const table = (name: string, of: (angle: number) => number): PositionTable => ({
    name: `${name}(${JSON.stringify(config)})`,
    width: config.width / 2,
    numRows: (numPositions) => numPositions + (numPositions > numShort ? numShort : 0),
    rows: (numRows) => {
      const half = config.width / 2;
      const values = new Float32Array(numRows * half);
      const fill = (from: number, to: number, numPositions: number): void => {
        const { frequencies, factor } = ropeFrequencies(config, numPositions);
        for (let row = from; row < to; row++)
          for (let i = 0; i < half; i++) values[row * half + i] = factor * of((row - from) * frequencies[i]!);
      };
      fill(0, Math.min(numRows, numShort), 1);
      if (numRows > numShort) fill(numShort, numRows, numShort + 1);
      return values;
    },
  });
  const positions = numShort === Infinity ? POSITIONS : positionsByLength(numShort);
  return { cos: table("cos", Math.cos), sin: table("sin", Math.sin), positions };
}
