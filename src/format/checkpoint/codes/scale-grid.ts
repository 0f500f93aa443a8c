/** @file How scales lie over a matrix [rows, columns]: one for all of it, for each row, for groups of a row, or for blocks of rows and columns. */
import { sameShape } from "../../../graph/shape.ts";

/** Which elements share a scale. */
interface ScaleGrid {
  /** Columns that share one, so that groups of that size fill rows: of blocks whose last is narrower, a divisor of theirs. */
  readonly groupSize: number;
  /** Which scale each group of each row has, [rows, groups]. */
  indices(): Int32Array;
}

/** Rows and columns of a block. */
export type BlockSize = readonly [numRows: number, numColumns: number];

/** Whether settings say such a size. */
export function isBlockSize(value: unknown): value is BlockSize {
  return (
    Array.isArray(value) && value.length === 2 && value.every((size) => Number.isInteger(size) && size > 0)
  );
}

/** Columns that share a scale in blocks of a size, or in whole rows. */
export function sharedColumns(numColumns: number, block: BlockSize | null): number {
  return block === null ? numColumns : commonDivisor(block[1], numColumns);
}

/** Finds how scales of a shape lie over a matrix, in blocks of a size if there are such; null: they do not fit it. */
export function scaleGrid(
  scaleShape: readonly number[],
  shape: readonly number[],
  block: BlockSize | null,
): ScaleGrid | null {
  const [numRows = 0, numColumns = 0] = shape;
  const [high = 1, wide = 1, ...others] = scaleShape;
  const size = blockOf([high, wide], [numRows, numColumns], block);
  if (size === null || others.length > 0) return null;
  const groupSize = sharedColumns(numColumns, size);
  return {
    groupSize,
    indices() {
      const rowGroups = numColumns / groupSize;
      return new Int32Array(numRows * rowGroups).map((_, i) => {
        const [row, group] = [Math.floor(i / rowGroups), i % rowGroups];
        return Math.floor(row / size[0]) * wide + Math.floor((group * groupSize) / size[1]);
      });
    },
  };
}

/** The size of blocks of which there are so many down and across; null when there cannot be. */
function blockOf(counts: BlockSize, shape: BlockSize, block: BlockSize | null): BlockSize | null {
  const [high, wide] = counts;
  const [numRows, numColumns] = shape;
  const ofBlocks = block && shape.map((size, axis) => Math.ceil(size / block[axis]!));
  if (block && ofBlocks && sameShape(ofBlocks, counts)) return block;
  const isWhole = wide === 1 || (block === null && numColumns % wide === 0);
  return (high === 1 || high === numRows) && isWhole ? [numRows / high, numColumns / wide] : null;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}
