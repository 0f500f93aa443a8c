/**
 * @file Tells a base model from others, on any machine and whatever its path: a hash of what tensors it has, of the values of
 * its norms and biases, which are read in a moment, and of a sample of its matrices: a merged adapter leaves norms alone.
 */
import { bytesOf } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { Sha256 } from "../../sha256.ts";
import type { BaseModel } from "./base-model.ts";
import { sampleBase } from "./base-sample.ts";

/** 16 hexadecimal digits. @throws as reading tensors */
export async function fingerprintOf({ model, source }: BaseModel): Promise<string> {
  const hash = new Sha256();
  const tensors = [...model.tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, { shape }] of tensors) {
    hash.update(`${name} ${source.storageOf(name)} ${shape.join("x")}\n`);
    if (shape.length > 1) continue;
    const values = new Float32Array(numElements(shape));
    await source.readInto(name, values);
    hash.update(bytesOf(values));
  }
  const { matrices } = await sampleBase({ model, source });
  return hash.update(bytesOf(matrices)).digest().slice(0, 16);
}
