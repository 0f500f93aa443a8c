/** @file Folders in codes of other tools: their settings, the header of their weights, and what lies in those, such as shapes. */
import { readFileSync } from "node:fs";
import { openCheckpoint } from "../../../src/format/checkpoint/open-checkpoint.ts";
import { parseJsonObject } from "../../../src/format/files/json-file.ts";
import { memoryFolder } from "../../../src/format/files/memory-folder.ts";
import { goldenPath } from "../../golden/golden-files.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes, mutateJson, pick } from "../mutate.ts";

const ints = (bits: number): object => ({
  quant_method: "compressed-tensors",
  format: "pack-quantized",
  config_groups: { group_0: { targets: ["Linear"], weights: { num_bits: bits, type: "int" } } },
});
const floats = { num_bits: 8, type: "float", block_structure: [16, 48] };

/** Settings of matrices of golden files, by the files and the names of the matrices. */
const SETTINGS: readonly (readonly [file: string, name: string, settings: object])[] = [
  ["scaled", "fp8_block", { quant_method: "fp8", weight_block_size: [8, 32] }],
  ["scaled", "fp8_all", { quant_method: "fp8" }],
  ["scaled", "pack4_zeros", ints(4)],
  ["scaled", "pack3", ints(3)],
  ["scaled", "int8_zeros", { ...ints(8), format: "int-quantized" }],
  ["scaled", "float_block", { ...ints(8), config_groups: { a: { weights: floats } } }],
  ["scaled", "mlx6", { group_size: 64, bits: 6 }],
  ["mxfp4-gpt_oss/model", "model.layers.0.mlp.experts", { quant_method: "mxfp4" }],
  ["codes", "mlx", { group_size: 64, bits: 4, mlx: { group_size: 64, bits: 4 } }],
  ["codes", "awq", { quant_method: "awq", bits: 4, group_size: 32 }],
  ["codes", "nested", { load_in_4bit: true }],
  ["codes", "eight", { load_in_8bit: true }],
];

type Header = Record<string, { readonly data_offsets: readonly [number, number] }>;

/** Takes one matrix out of a file: the entries of its header, and their data. */
function oneMatrix(file: string, name: string): { header: object; data: Buffer } {
  const bytes = readFileSync(goldenPath("codes", `${file}.safetensors`));
  const start = 8 + Number(bytes.readBigUInt64LE());
  const all = JSON.parse(bytes.toString("utf8", 8, start)) as Header;
  const pieces: Buffer[] = [];
  let end = 0;
  const entries = Object.entries(all).filter(
    ([key]) => key.startsWith(`${name}.`) && !key.endsWith("expected"),
  );
  const header = entries.map(([key, entry]) => {
    const [from, to] = entry.data_offsets;
    pieces.push(bytes.subarray(start + from, start + to));
    end += to - from;
    return [key, { ...entry, data_offsets: [end - (to - from), end] }];
  });
  return { header: Object.fromEntries(header) as object, data: Buffer.concat(pieces) };
}

export const codesFolder: FuzzFormat = {
  name: "codes-folder",
  numCases: 700,
  prepare() {
    const folders = SETTINGS.map(([file, name, settings]) => ({ settings, ...oneMatrix(file, name) }));
    return {
      // A folder as one text, so that one seed and number repeat it.
      make(random) {
        const { settings, header, data } = pick(random, folders);
        const textWith = (bytes: Uint8Array): string =>
          JSON.stringify({ settings, header, data: Buffer.from(bytes).toString("base64") });
        if (random.integer(3) > 0) return mutateJson(random, textWith(data));
        return textWith(mutateBytes(random, data).subarray(0, data.length));
      },
      async read(input) {
        const { settings, header, data } = parseJsonObject(input as string, "case");
        const text = Buffer.from(JSON.stringify(header ?? {}));
        const length = Buffer.alloc(8);
        length.writeBigUInt64LE(BigInt(text.length));
        const checkpoint = await openCheckpoint(
          memoryFolder("m", {
            "config.json": JSON.stringify({ model_type: "llama", quantization_config: settings }),
            "model.safetensors": Buffer.concat([length, text, Buffer.from(String(data), "base64")]),
          }),
        );
        for (const [name, { shape }] of checkpoint.tensors) {
          await checkpoint.read(name);
          await checkpoint.readInto(
            name,
            new Float32Array(shape.reduce((product, size) => product * size, 1)),
          );
        }
      },
    };
  },
};
