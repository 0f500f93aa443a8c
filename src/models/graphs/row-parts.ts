/**
 * @file Rows that are split into parts, as for experts. The number of rows of a part is known only at run time, so what depends
 * on it is kept for all parts together: their share of the products, and their dropout masks.
 */
import type { Value, Values } from "../../graph/graph.ts";
import { splitRows } from "../../graph/ops/rows/split-rows.ts";
import type { Dim, Shape } from "../../graph/shape.ts";

/** One of the parts. */
interface RowPart {
  readonly counts: Value;
  readonly numParts: number;
  readonly index: number;
  /** Rows of all parts. */
  readonly numRows: Dim;
  readonly share: number;
  /** Number of masks that its projections have taken. */
  numMasks: number;
}

export class RowParts {
  /** Parts by the symbol of their number of rows. */
  readonly #parts = new Map<Dim, RowPart>();

  /** See `Builder.splitRows`. */
  split(rows: Value, counts: Value, numParts: number, numPerToken: number): Values {
    const parts = splitRows(rows, counts, numParts);
    const [numRows = 1] = rows.shape;
    const share = numPerToken / numParts;
    for (const [index, { shape }] of parts.entries()) {
      this.#parts.set(shape[0] ?? "", { counts, numParts, index, numRows, share, numMasks: 0 });
    }
    return parts;
  }

  /** How many rows of a value a token is expected to have; 1 if the value is not of a part. */
  shareOf({ shape }: Value): number {
    return this.#parts.get(shape[0] ?? "")?.share ?? 1;
  }

  /**
   * Returns a mask of this shape if it has the rows of a part, taken from a mask for the rows of all parts; else null. `draw`
   * makes a mask, the same one for the same key.
   */
  maskOf(shape: Shape, probability: number, draw: (key: string, shape: Shape) => Value): Value | null {
    const part = this.#parts.get(shape[0] ?? "");
    if (!part) return null;
    const { counts, numParts, index, numRows } = part;
    const rest = shape.slice(1);
    const mask = draw(`parts-${[counts.id, part.numMasks++, ...rest, probability].join("-")}`, [
      numRows,
      ...rest,
    ]);
    return splitRows(mask, counts, numParts)[index]!;
  }
}
