/**
 * @file Seeded random model folders for tests: two or three layers, width 32, grouped heads, the byte tokenizer.
 *
 * Every family of the list has one in `tiny-configs.ts`; a conformance test says so when one is missing.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { byteTokenizerFiles } from "./byte-tokenizer.ts";
import { writeModel } from "../../src/format/by-path.ts";
import { folderTensors } from "../../src/format/checkpoint/folder-tensors.ts";
import { openModel } from "../../src/models/families.ts";
import type { TensorSpec } from "../../src/models/graphs/sites.ts";
import { Random } from "../../src/random.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";
import { tinyConfigOf } from "./configs.ts";

/** What differs from the family's tiny model. */
export interface TinyModelOptions {
  readonly modelType?: string;
  readonly seed?: number;
  /** Entries of config.json that replace or add. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Writes a tiny model into a folder, which is made; returns the folder. */
export async function writeTinyModel(folder: string, options: TinyModelOptions = {}): Promise<string> {
  const { config, tensors } = tinyModelParts(options);
  const { image, checkpoint } = openModel(config);
  await writeModel(folder, {
    config,
    generationConfig: null,
    tokenizerFiles: image === null ? byteTokenizerFiles() : null,
    tensors: folderTensors(checkpoint, tensors),
  });
  return folder;
}

/** The configuration and tensors of a tiny model, to be changed before they are written. */
export function tinyModelParts(options: TinyModelOptions = {}): {
  config: Record<string, unknown>;
  tensors: Map<string, HostTensor<"float32">>;
} {
  const { modelType = "llama", seed = 1 } = options;
  const config = { ...tinyConfigOf(modelType), ...options.config };
  const random = new Random(seed);
  const specs = [...openModel(config).tensors.values()];
  return { config, tensors: new Map(specs.map((spec) => [spec.name, draw(spec, random)])) };
}

/** Norms near one, matrices that keep the size of what passes through, an embedding of size 1. */
function draw({ shape, role }: TensorSpec, random: Random): HostTensor<"float32"> {
  const inFeatures = numElements(shape.slice(1));
  const [mean, deviation] = {
    norm: [1, 0.2],
    bias: [0, 0.2],
    buffer: [1, 0.2],
    embedding: [0, 0.5],
    head: [0, inFeatures ** -0.5],
    weight: [0, inFeatures ** -0.5],
  }[role] as [number, number];
  const values = new Float32Array(numElements(shape)).map(() => mean + deviation * random.normal());
  return hostTensor("float32", shape, values);
}

/** Makes a temporary folder that is removed when the test file is done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "graft-test-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes short conversations with answers of changing lengths as JSONL; returns the path. */
export function writeTinyChats(path: string, numRows: number, seed = 1): string {
  const random = new Random(seed);
  const word = (): string => ["ka", "lo", "mi", "nu", "te", "so"][random.integer(6)]!;
  const words = (): string => Array.from({ length: 1 + random.integer(5) }, word).join(" ");
  const rows = Array.from({ length: numRows }, () => ({
    messages: [
      { role: "user", content: words() },
      { role: "assistant", content: words() },
    ],
  }));
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}
