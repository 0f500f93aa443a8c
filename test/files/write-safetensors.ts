/** @file Writes a safetensors file alone, where graft itself writes folders. */
import { writeFileAtomic } from "../../src/format/files/atomic.ts";
import { safetensorsFile, type TensorSource } from "../../src/format/files/safetensors/safetensors-writer.ts";

/** Writes a safetensors file, whole or not at all. @throws FailedError failed/write */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, TensorSource]>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  await writeFileAtomic(path, safetensorsFile(path, tensors, metadata));
}
