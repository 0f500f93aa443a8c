/**
 * @file Rows that are cut into parts, as experts get them: how many rows each has is known at run time only, so what depends
 * on that is told of all of them together: their share of the products, and the masks of their dropout.
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
  /** Masks that its projections have taken. */
  numMasks: number;
}

export class RowParts {
  /** Parts by the symbol of their number of rows. */
  readonly #parts = new Map<Dim, RowPart>();

  /** Does what `Builder.splitRows` says. */
  split(rows: Value, counts: Value, numParts: number, numPerToken: number): Values {
    const parts = splitRows(rows, counts, numParts);
    const [numRows = 1] = rows.shape;
    const share = numPerToken / numParts;
    for (const [index, { shape }] of parts.entries()) {
      this.#parts.set(shape[0] ?? "", { counts, numParts, index, numRows, share, numMasks: 0 });
    }
    return parts;
  }

  /** How many rows of a value a token is expected to have: 1 of what is no part. */
  shareOf({ shape }: Value): number {
    return this.#parts.get(shape[0] ?? "")?.share ?? 1;
  }

  /**
   * The mask of such a shape, if it has the rows of a part, cut from one for the rows of all parts; null: it has those of none.
   * `draw` gives a mask by its key, the same one for the same key.
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
