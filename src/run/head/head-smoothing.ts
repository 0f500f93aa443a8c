/** @file Measures smoothing factors for the input of the head's matrix, from one pass and some rows of the matrix. */
import { assertInternal } from "../../errors.ts";
import { neededInputs } from "../../graph/program.ts";
import { PLAIN_PART } from "../../models/graphs/part-options.ts";
import type { SmoothingRule } from "../../nn/compute.ts";
import { type HostTensor, hostTensor, zeros } from "../../runtime/host-tensor.ts";
import { SLICE_ROWS } from "../large-tables.ts";
import type { Session } from "../session.ts";

/** Measures factors [D] for the input of a vocabulary's head, from the last block's output [B, T, D]. @throws as the source */
export async function measureHeadSmoothing(
  session: Session,
  { data }: HostTensor<"float32">,
  smoothing: SmoothingRule,
): Promise<HostTensor<"float32">> {
  const { model, weights } = session;
  const { part, x: hidden } = model.buildHead({ ...PLAIN_PART, headProduct: "slice" });
  const { input, rows } = part.head;
  assertInternal(input && rows, "a head that multiplies with a matrix");
  const factors = smoothing(input, [rows.rows]);
  const inputs = neededInputs({ factors }, { hidden, ...part.inputs() });
  const { program } = await session.compile("head-smoothing", () => ({
    spec: { name: "head-smoothing", inputs, outputs: { factors } },
    made: null,
  }));
  const measured = zeros("float32", [model.width]);
  const feeds = {
    ...(await weights.readOutsideBlocks(Object.keys(part.tensors))),
    hidden: hostTensor("float32", [data.length / model.width, model.width], data),
    rows: await someRows(session, model.storedName(rows.tensor)),
  };
  await program.run(feeds, { factors: measured });
  return measured;
}

/** Rows of a matrix at equal distances: the largest number in a column is about the same as in all rows. */
async function someRows(
  { base: { source }, model: { numOutputs, width } }: Session,
  name: string,
): Promise<HostTensor<"float32">> {
  const distance = Math.ceil(numOutputs / SLICE_ROWS);
  const rows = zeros("float32", [Math.ceil(numOutputs / distance), width]);
  for (let i = 0; i < rows.shape[0]!; i++) {
    await source.readInto(name, rows.data.subarray(i * width, (i + 1) * width), i * distance * width);
  }
  return rows;
}
