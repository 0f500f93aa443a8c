/** @file Reads a large float32 matrix of the head some rows at a time; while some are in use, the next are read. */
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { Session } from "../session.ts";

/** Rows of a matrix, from number `from` on; valid until the next are requested. */
export interface Slice {
  readonly from: number;
  readonly rows: HostTensor<"float32">;
}

/** Reads a matrix from its first row to its last. @throws as the source */
export async function* matrixSlices(
  { pool, model, base, sliceRows }: Session,
  tensor: string,
): AsyncGenerator<Slice, void, void> {
  const read = async (from: number): Promise<Slice> => {
    const rows = pool.acquire("float32", [Math.min(sliceRows, model.numOutputs - from), model.width]);
    try {
      await base.source.readInto(tensor, rows.data, from * model.width);
    } catch (error) {
      pool.release(rows);
      throw error;
    }
    return { from, rows };
  };
  let ahead: Promise<Slice> | null = read(0);
  try {
    while (ahead) {
      const slice: Slice = await ahead;
      const next = slice.from + sliceRows;
      ahead = next < model.numOutputs ? read(next) : null;
      // A failure of reading ahead is reported when the slice is awaited.
      ahead?.catch(() => {});
      try {
        yield slice;
      } finally {
        pool.release(slice.rows);
      }
    }
  } finally {
    const [left] = await Promise.allSettled([ahead]);
    if (left.status === "fulfilled" && left.value) pool.release(left.value.rows);
  }
}
