/**
 * @file Tells a base model from others, on any machine and whatever its path: a hash of what tensors it has, of the values of
 * its norms and biases, which are read in a moment, and of a sample of its matrices: a merged adapter leaves norms alone; and
 * one of its settings (base-settings).
 */
import { bytesOf } from "../../graph/dtype.ts";
import { numElements } from "../../graph/shape.ts";
import { Sha256 } from "../../sha256.ts";
import type { BaseModel } from "./base-model.ts";
import { sampleBase } from "./base-sample.ts";
import { SETTINGS_HASH, hashSettings } from "./base-settings.ts";

/** As it was before it told settings, or with them. */
const FINGERPRINT = new RegExp(`^([0-9a-f]{16})(?:-(${SETTINGS_HASH}))?$`);

/** Hexadecimal digits: 16 of the tensors, a dash, and those of the settings. @throws as reading tensors */
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
 * A regular expression, also of PostgreSQL, of the fingerprints that may be of the same base: it is equal, or has other forms of
 * settings or none, as those of other versions.
 */
export function basePattern(fingerprint: string): string {
  const [, tensors, settings = "", form] = FINGERPRINT.exec(fingerprint) ?? [];
  if (tensors === undefined) return `^${fingerprint.replaceAll(/[^\w]/g, "\\$&")}$`;
  return form === undefined ? `^${tensors}(-.*)?$` : `^${tensors}(-${settings}|-[^${form}].*)?$`;
}
