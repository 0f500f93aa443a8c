/** @file PEFT's key for models whose weights are kept as [in, out]. */
import type { FileSite } from "./contract/adapter-file.ts";

/** Whether the base keeps the weights of all projections so: `fan_in_fan_out`. Tensors of adapters stay as they are. */
export function areTransposed(sites: readonly Pick<FileSite<unknown>, "storedTransposed">[]): boolean {
  const projections = sites.filter(({ storedTransposed }) => storedTransposed !== null);
  return projections.length > 0 && projections.every(({ storedTransposed }) => storedTransposed);
}
