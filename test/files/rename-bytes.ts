/** @file Files with floats of 8 bits, which graft itself does not write. */
import { readFileSync, writeFileSync } from "node:fs";

/** Has tensors of bytes in a safetensors file be of another type of as many bytes. */
export function renameBytes(path: string, names: readonly string[], fileDtype = "F8_E4M3"): void {
  const bytes = readFileSync(path);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString("utf8", 8, end)) as Record<string, { dtype: string }>;
  for (const name of names) header[name]!.dtype = fileDtype;
  const text = JSON.stringify(header);
  const renamed = Buffer.from(text.padEnd(text.length + (-text.length & 7)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(renamed.length));
  writeFileSync(path, Buffer.concat([length, renamed, bytes.subarray(end)]));
}
