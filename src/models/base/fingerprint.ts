/**
 * @file Identifies a base model on any machine and at any path, by two hashes. One is of its list of tensors, the values of norms
 * and biases, which are read quickly, and a sample of its matrices, since a merged adapter leaves norms unchanged; the other is
 * of its settings (base-settings).
 */
import { bytesOf } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { Sha256 } from "../../sha256.ts";
import type { BaseModel } from "./base-model.ts";
import { sampleBase } from "./base-sample.ts";
import { SETTINGS_HASH, hashSettings } from "./base-settings.ts";

/** Pattern of a fingerprint; those of older versions lack the settings. */
const FINGERPRINT = new RegExp(`^([0-9a-f]{16})(?:-(${SETTINGS_HASH}))?$`);

/** Returns 16 hexadecimal digits for the tensors, a dash, and the hash of the settings. @throws as reading tensors */
export async function fingerprintOf(base: BaseModel): Promise<string> {
  const { model, source } = base;
  const hash = new Sha256();
  const tensors = [...model.tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, { shape }] of tensors) {
    hash.update(`${name} ${source.storageOf(name)} ${shape.join("x")}\n`);
    if (shape.length > 1) continue;
    const values = new Float32Array(numElements(shape));
    await source.readInto(name, values);
    hash.update(bytesOf(values));
  }
  const { matrices } = await sampleBase(base);
  return `${hash.update(bytesOf(matrices)).digest().slice(0, 16)}-${hashSettings(model)}`;
}

/** Whether two fingerprints may be of one base. */
export function mayBeOneBase(a: string, b: string): boolean {
  return new RegExp(basePattern(a)).test(b);
}

/**
 * Returns a regular expression, valid in PostgreSQL too, for the fingerprints that may be of the same base: equal ones, and those
 * of other versions, whose settings have another form or are missing.
 */
export function basePattern(fingerprint: string): string {
  const [, tensors, settings = "", form] = FINGERPRINT.exec(fingerprint) ?? [];
  if (tensors === undefined) return `^${fingerprint.replaceAll(/[^\w]/g, "\\$&")}$`;
  return form === undefined ? `^${tensors}(-.*)?$` : `^${tensors}(-${settings}|-[^${form}].*)?$`;
}
