/** @file Which elements of a matrix [rows, columns] share a scale: all, those of a row, of a group of a row, or of a block. */
import { sameShape } from "../../../graph/shape.ts";

/** Which elements share a scale. */
interface ScaleGrid {
  /** Columns of a group that share a scale. Groups fill rows: if the last block is narrower, this is a divisor of the block's width. */
  readonly groupSize: number;
  /** The index of the scale of each group of each row, [rows, groups]. */
  indices(): Int32Array;
}

/** Rows and columns of a block. */
export type BlockSize = readonly [numRows: number, numColumns: number];

/** Whether a setting is the size of a block. */
export function isBlockSize(value: unknown): value is BlockSize {
  return (
    Array.isArray(value) && value.length === 2 && value.every((size) => Number.isInteger(size) && size > 0)
  );
}

/** Columns of a group, if scales are for blocks of a size; null: for whole rows. */
export function sharedColumns(numColumns: number, block: BlockSize | null): number {
  return block === null ? numColumns : commonDivisor(block[1], numColumns);
}

/** Finds out which elements share a scale, given the shape of the scales and a size of blocks, if any; null: they do not fit. */
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

/** The size of blocks, given how many there are down and across; null if that does not fit the matrix. */
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
