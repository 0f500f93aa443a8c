/**
 * @file Tells a base model from others, on any machine and whatever its path: a hash of what tensors it has, of the values of
 * its norms and biases, which are read in a moment, and of a sample of its matrices: a merged adapter leaves norms alone.
 */
import { numElements } from "../../graph/shape.ts";
import type { BaseModel } from "./base-model.ts";
import { sampleBase } from "./base-sample.ts";

/** 16 hexadecimal digits. @throws as reading tensors */
export async function fingerprintOf({ model, source }: BaseModel): Promise<string> {
  const encoder = new TextEncoder();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const tensors = [...model.tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, { shape }] of tensors) {
    pieces.push(encoder.encode(`${name} ${source.storageOf(name)} ${shape.join("x")}\n`));
    if (shape.length > 1) continue;
    const values = new Float32Array(numElements(shape));
    await source.readInto(name, values);
    pieces.push(new Uint8Array(values.buffer));
  }
  const { matrices } = await sampleBase({ model, source });
  pieces.push(new Uint8Array(matrices.buffer as ArrayBuffer));
  const bytes = await new Blob(pieces).arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
