/** @file Visits elements of a matrix by groups of columns within rows. */

/** How rows are divided; `groupSize` divides `numColumns`. */
interface RowGroups {
  readonly numColumns: number;
  readonly groupSize: number;
}

/** Elements of one group. */
interface GroupPart {
  readonly row: number;
  /** Columns from `column` up to but not including `stop`. */
  readonly column: number;
  readonly stop: number;
  /** Index of the group, counted over all rows. */
  readonly group: number;
}

/** Splits elements `first` up to but not including `end`, counted over all rows, by groups, and calls `use` for each part. */
export function eachGroup(
  { numColumns, groupSize }: RowGroups,
  first: number,
  end: number,
  use: (part: GroupPart) => void,
): void {
  for (let element = first; element < end;) {
    const row = Math.floor(element / numColumns);
    const column = element - row * numColumns;
    const group = Math.floor(column / groupSize);
    const stop = Math.min((group + 1) * groupSize, column + end - element);
    use({ row, column, stop, group: (row * numColumns) / groupSize + group });
    element += stop - column;
  }
}
