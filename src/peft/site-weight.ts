/** @file Reading the base's weight at a site, when a method asks for it. */
import type { BaseModel } from "../models/base-model.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { SiteStart } from "./site.ts";

/** Says how to read the weight of a module; nothing is read here. */
export function weightOf(base: BaseModel, path: string): Pick<SiteStart, "stored" | "weight"> {
  const name = base.model.storedName(`${path}.weight`);
  const { storedTransposed = false } = base.model.siteOf(path) ?? {};
  const weight = async (): Promise<HostTensor<"float32">> => {
    const values = await base.values(name);
    return storedTransposed ? transposed(values) : values;
  };
  return {
    stored: async () => {
      if (!storedTransposed) return await base.source.stored(name);
      const data = await weight();
      return { storage: "f32", shape: data.shape, planes: { data } };
    },
    weight: async () => (await weight()).data,
  };
}

/** The transpose of a matrix; fresh memory. */
function transposed({ shape, data }: HostTensor<"float32">): HostTensor<"float32"> {
  const [numRows, numColumns] = shape as [number, number];
  const result = new Float32Array(data.length);
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < numColumns; column++) {
      result[column * numRows + row] = data[row * numColumns + column]!;
    }
  }
  return hostTensor("float32", [numColumns, numRows], result);
}
