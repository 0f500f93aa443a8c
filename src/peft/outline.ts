/** @file An adapter without values: enough to build a model's programs with it, before any weight is read. */
import { numElements } from "../graph/shape.ts";
import { hostTensor } from "../runtime/host-tensor.ts";
import { type AdapterView, viewAdapter } from "./adapter-view.ts";
import { copiedTensors } from "./attach.ts";
import type { Layout } from "./layout.ts";
import type { Method } from "./method.ts";
import { listParameters } from "./parameters.ts";

const NO_NUMBERS = hostTensor("float32", [0], new Float32Array(0));

/** Makes the view of the adapter that `attach` would make, with empty tensors. */
export function outlineAdapter(layout: Layout, method: Method): AdapterView {
  const parameters = listParameters(layout).map((plan) => ({
    ...plan,
    offset: 0,
    length: numElements(plan.shape),
    value: NO_NUMBERS,
  }));
  const copied = copiedTensors(layout.model, method, new Set(parameters.map(({ name }) => name)));
  return viewAdapter({
    ...layout,
    method,
    parameters,
    tensorsOf: () => ({}),
    boundOf: () => null,
    copies: Object.fromEntries(copied.map((name) => [name, NO_NUMBERS])),
  });
}
