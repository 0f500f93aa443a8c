/** @file Reads the base's weight at a site on demand. */
import { dimsOf } from "../../graph/shape.ts";
import { transposed } from "../../linalg/transposed.ts";
import type { BaseModel, LendFloats } from "../../models/base/base-model.ts";
import { storedFloats } from "../../quant/stored-tensor.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { SiteStart } from "./site.ts";

/** Returns functions that read the weight of a module. `lend` provides memory for one weight in float32, until the next. */
export function weightOf(
  base: BaseModel,
  path: string,
  lend?: LendFloats,
): Pick<SiteStart, "stored" | "weight"> {
  const name = base.model.storedName(`${path}.weight`);
  const { storedTransposed = false } = base.model.siteOf(path) ?? {};
  const weight = async (memory?: LendFloats): Promise<HostTensor<"float32">> => {
    const values = await base.read(name, memory);
    if (!storedTransposed) return values;
    const [numRows, numColumns] = dimsOf(values.shape, 2);
    return hostTensor("float32", [numColumns, numRows], transposed(values.data, numRows, numColumns));
  };
  return {
    stored: async () => {
      return storedTransposed ? storedFloats(await weight()) : await base.source.stored(name);
    },
    weight: async () => (await weight(lend)).data,
  };
}
