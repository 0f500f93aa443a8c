/** @file All numbers of an adapter at once, for tests: those that are trained, and the tensors that stay frozen. */
import type { Adapter } from "../../src/peft/attach.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";

/** Copies what is trained into one vector, in the order of the parameters. */
export function valuesOf({ parameters, numTrained }: Adapter): Float32Array {
  const values = new Float32Array(numTrained);
  let start = 0;
  for (const { value } of parameters) {
    values.set(value.data, start);
    start += value.data.length;
  }
  return values;
}

/** Puts other numbers in the place of what is trained; `change` is told the old one and its place in `valuesOf`. */
export function changeValues(adapter: Adapter, change: (value: number, i: number) => number): void {
  let start = 0;
  for (const { value } of adapter.parameters) {
    const { data } = value;
    for (let i = 0; i < data.length; i++) data[i] = change(data[i]!, start + i);
    start += data.length;
  }
}

/** Puts what `valuesOf` copied back. */
export function setValues(adapter: Adapter, values: ArrayLike<number>): void {
  changeValues(adapter, (_, i) => values[i]!);
}

/** Frozen tensors by full name, those that all sites share by their suffix. */
export function frozenOf(adapter: Adapter): Map<string, HostTensor> {
  const found = new Map(adapter.shared);
  for (const site of adapter.sites.values()) {
    const tensors = adapter.tensorsOf(site);
    for (const { suffix, shared } of site.frozen) {
      if (!shared) found.set(`${site.path}.${suffix}`, tensors[suffix]!);
    }
  }
  return found;
}
