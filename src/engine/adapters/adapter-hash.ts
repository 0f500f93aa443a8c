/** @file Hashes the trained values of an adapter, so that adapters with equal values are recognized wherever they are stored. */
import { Sha256 } from "../../sha256.ts";
import type { Adapter } from "../../peft/attach.ts";

/** Returns 16 hexadecimal digits. */
export function hashOfAdapter({ parameters }: Adapter): string {
  const hash = new Sha256();
  for (const { name, value } of parameters) {
    const { buffer, byteOffset, byteLength } = value.data;
    hash.update(`${name} ${value.shape.join("x")}\n`).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest().slice(0, 16);
}
