/** @file Walking through elements of a matrix whose rows have groups of columns, each with numbers of its own. */

/** How rows are divided; `groupSize` divides `numColumns`. */
interface RowGroups {
  readonly numColumns: number;
  readonly groupSize: number;
}

/** Elements of one group. */
interface GroupPart {
  readonly row: number;
  /** Columns from the first on to before the second. */
  readonly column: number;
  readonly stop: number;
  /** Which group of all rows. */
  readonly group: number;
}

/** Calls with what elements from `first` to before `end`, counted over all rows, have in each group. */
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
