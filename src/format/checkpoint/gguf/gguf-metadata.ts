/** @file The parts of a GGUF file from which a configuration is built. */
import { UsageError } from "../../../errors.ts";
import type { GgufFile, GgufMetadata } from "../../files/gguf/gguf.ts";

/** A GGUF file, or the contents of one to be written. */
export interface GgufContents extends GgufMetadata {
  readonly tensors: ReadonlyMap<string, Parameters<GgufFile["read"]>[0]>;
  readonly read: GgufFile["read"];
}

/** Reads a number of the metadata; null when absent. 64-bit numbers come as bigint. */
export function metadataNumber(file: GgufMetadata, key: string): number | null {
  const value = file.metadata[key];
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : null;
}

/** Makes the error for settings or tensors of a file that graft does not support. */
export function unsupported({ path }: GgufMetadata, found: string, expected: string): UsageError {
  return new UsageError("usage/model", `Cannot open model "${path}": ${found}, expected ${expected}`, {
    hint: "Use the model's safetensors folder, or another model.",
  });
}
