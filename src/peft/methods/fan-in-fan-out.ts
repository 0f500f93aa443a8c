/** @file PEFT's key for models whose weights are kept as [in, out]. */
import type { FileSite } from "../method.ts";

/** Whether the base keeps the weights of all modules so: `fan_in_fan_out`. Tensors of adapters stay as they are. */
export function areTransposed(sites: readonly Pick<FileSite<unknown>, "storedTransposed">[]): boolean {
  return sites.length > 0 && sites.every(({ storedTransposed }) => storedTransposed);
}
