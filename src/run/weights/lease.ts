/** @file Tensors that a pass over the model is lent. */
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** What programs read, by the names of their inputs. */
export type WeightTensors = Readonly<Record<string, HostTensor>>;

/** Tensors of one block, lent until they are released. */
export interface Lease {
  readonly tensors: WeightTensors;
  release(): void;
}
