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

/**
 * Prepares to move what is trained along a direction, whose numbers lie as in `valuesOf`: `moveTo` puts it at a distance from
 * where it stands now. `norm`: the length of the direction, which is how fast the loss changes along its own gradient.
 */
export function alongDirection(
  adapter: Adapter,
  direction: readonly number[],
): { readonly norm: number; readonly moveTo: (distance: number) => void } {
  const norm = Math.hypot(...direction);
  const start = valuesOf(adapter);
  const moveTo = (distance: number): void =>
    changeValues(adapter, (_, i) => start[i]! + (distance * direction[i]!) / norm);
  return { norm, moveTo };
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
