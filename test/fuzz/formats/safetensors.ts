/** @file Safetensors files: any byte, and the JSON of the header with a length that fits it. */
import { openSafetensors } from "../../../src/format/files/safetensors/safetensors.ts";
import { safetensorsFile } from "../../../src/format/files/safetensors/safetensors-writer.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { hostTensor } from "../../../src/runtime/host-tensor.ts";
import { folderInMemory } from "../../files/memory-files.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes, mutateJson } from "../mutate.ts";

/** Puts a header before data. */
function withHeader(json: string, data: Uint8Array): Uint8Array {
  const header = new TextEncoder().encode(json);
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(header.length), true);
  return Buffer.concat([new Uint8Array(length.buffer), header, data]);
}

export const safetensors: FuzzFormat = {
  name: "safetensors",
  numCases: 700,
  async prepare() {
    const tensors = [
      ["a.weight", hostTensor("float32", [2, 3], new Float32Array(6))],
      ["b", hostTensor("float16", [4], new Uint16Array(4))],
      ["c", hostTensor("int64", [], new BigInt64Array(1))],
    ] as const;
    const { "x.safetensors": whole } = await folderInMemory([
      safetensorsFile("x.safetensors", tensors, { format: "pt", note: "x" }),
    ]);
    const bytes = whole as Uint8Array;
    const dataStart = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    const json = new TextDecoder().decode(bytes.subarray(8, dataStart));
    return {
      make: (random) =>
        random.integer(2) === 0
          ? mutateBytes(random, bytes)
          : withHeader(mutateJson(random, json), bytes.subarray(dataStart)),
      async read(input) {
        const file = await openSafetensors(await memoryFolder("f", { x: input }).open("x"));
        for (const [name, { dtype }] of file.tensors) if (dtype !== null) await file.read(name);
      },
    };
  },
};
