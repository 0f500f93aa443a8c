/** @file Data in settings: names of files and folders with weights, or rows in memory. */
import { existsSync } from "node:fs";
import { rowLine } from "../../../data/rows/row-line.ts";
import { readWeightedName } from "../../../data/weighted-name.ts";
import { Sha256 } from "../../../sha256.ts";
import type { TrainOptions } from "../../settings/options.ts";

/** Lists the data sets of a setting, each with how often an epoch uses it. */
export function namesOf(
  data: TrainOptions["data"],
): { readonly name: string | readonly object[]; readonly weight: number }[] {
  if (areRows(data)) return [{ name: data, weight: 1 }];
  return [data].flat().map((text) => {
    const { path, weight } = readWeightedName(text, existsSync);
    return { name: path, weight };
  });
}

/** Describes rows in memory by a hash of their content. */
export function describeRows(rows: readonly object[]): string {
  const hash = new Sha256();
  for (const [i, row] of rows.entries()) hash.update(`${rowLine(row, i)}\n`);
  return `${rows.length} rows in memory, sha256 ${hash.digest()}`;
}

/** Whether data are rows in memory, not names of files. */
export function areRows(data: TrainOptions["data"] | TrainOptions["evalData"]): data is readonly object[] {
  return typeof data === "object" && typeof data[0] === "object";
}
