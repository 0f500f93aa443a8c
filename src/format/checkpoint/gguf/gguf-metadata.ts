/** @file What of a GGUF file a configuration is built from, and the numbers in it. */
import { UsageError } from "../../../errors.ts";
import type { GgufFile, GgufMetadata } from "../../files/gguf/gguf.ts";

/** A GGUF file, or what is about to become one. */
export interface GgufContents extends GgufMetadata {
  readonly tensors: ReadonlyMap<string, Parameters<GgufFile["read"]>[0]>;
  readonly read: GgufFile["read"];
}

/** Reads a number of the metadata; null when absent. 64-bit numbers come as bigint. */
export function metadataNumber(file: GgufMetadata, key: string): number | null {
  const value = file.metadata[key];
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : null;
}

/** The error for a file that says what graft does not know. */
export function unsupported({ path }: GgufMetadata, found: string, expected: string): UsageError {
  return new UsageError("usage/model", `Cannot open model "${path}": ${found}, expected ${expected}`, {
    hint: "Use the model's safetensors folder, or another model.",
  });
}
