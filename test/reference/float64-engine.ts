/**
 * @file An engine that computes in float64, by the references of the operations: whole passes of a model as they are but for
 * rounding, to hold those in float32 against.
 *
 * Programs give each other float32; each row that one has written is known again by its bits, and read in float64 as it was.
 */
import { PLAIN_TARGET } from "../../src/graph/emitter.ts";
import type { Value } from "../../src/graph/graph.ts";
import type { Bindings } from "../../src/graph/shape.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import type { HostTensor, Tensors } from "../../src/runtime/host-tensor.ts";
import { makeCounted } from "../../src/runtime/memory/program-memory.ts";
import type { Array64 } from "../ops/array64.ts";
import { decode, toHost } from "../ops/host-arrays.ts";
import { evaluate } from "./evaluator.ts";

/** Numbers for the symbols that are sizes of tensors by themselves. */
function bindingsOf(values: Readonly<Record<string, Value>>, tensors: Tensors): Bindings {
  const sizes = Object.entries(values).flatMap(([name, { shape }]) =>
    shape.map((dim, axis) => [dim, tensors[name]!.shape[axis]!] as const),
  );
  return Object.fromEntries(sizes.filter(([dim]) => typeof dim === "string" && /^\w+$/.test(dim)));
}

/** Rows that programs wrote, in float64 by what they are in float32. */
class WrittenRows {
  readonly #rows = new Map<string, Float64Array>();

  /** Calls `visit` with each row of a tensor, and the bits that it is known by. */
  #each({ shape, data }: HostTensor, visit: (key: string, from: number, to: number) => void): void {
    const width = shape.at(-1) ?? 1;
    for (let from = 0; from < data.length; from += width) {
      const { buffer, byteOffset, byteLength } = data.subarray(from, from + width);
      visit(
        Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("latin1"),
        from,
        from + width,
      );
    }
  }

  write(tensor: HostTensor, exact: Array64): void {
    tensor.data.set(toHost(tensor.dtype, exact).data as never);
    if (tensor.dtype !== "float32") return;
    this.#each(tensor, (key, from, to) => this.#rows.set(key, exact.data.subarray(from, to)));
  }

  read(tensor: HostTensor): Array64 {
    const { dtype, shape } = tensor;
    const data = decode(dtype, tensor.data);
    if (dtype === "float32") {
      this.#each(tensor, (key, from) => {
        const exact = this.#rows.get(key);
        if (exact) data.set(exact, from);
      });
    }
    return { shape, data };
  }
}

/** Makes an engine, whose passes take seconds: for tiny models. */
export function float64Engine(): Engine {
  const rows = new WrittenRows();
  return {
    name: "float64",
    threads: 1,
    makeMemory: makeCounted,
    target: async () => PLAIN_TARGET,
    compile: async (spec, { constants = {} } = {}) => ({
      spec,
      async run(feeds, into) {
        const given = { ...feeds, ...constants };
        const arrays = Object.fromEntries(
          Object.keys(spec.inputs).map((name) => [name, rows.read(given[name]!)]),
        );
        const bindings = { ...bindingsOf(spec.outputs, into), ...bindingsOf(spec.inputs, given) };
        const found = evaluate(spec, arrays, bindings);
        for (const [name, exact] of Object.entries(found)) rows.write(into[name]!, exact);
      },
      release: async () => {},
    }),
  };
}
