/**
 * @file The record of the base that an adapter was trained on: some of its numbers. By it another model of equal shapes is refused,
 * but the same model in other files is accepted.
 *
 * The record is in the header of the tensors' file, which peft ignores. A name would not suffice: it may be a path.
 */
import { checkArguments, lazily } from "../../messages/arguments.ts";
import { z } from "zod";
import { FormatError, UsageError } from "../../errors.ts";
import { A_BASE, type BaseModel } from "../../models/base/base-model.ts";
import { type BaseSample, mayBeOneModel, sampleBase } from "../../models/base/base-sample.ts";
import { hashSettings, mayBeAlike } from "../../models/base/base-settings.ts";
import { Sha256 } from "../../sha256.ts";

/** Key in the header of the tensors' file. */
export const BASE_SAMPLE_KEY = "base_sample";

const RECORD = z.strictObject({
  vectors: z.base64(),
  matrices: z.base64(),
  rounded: z.boolean(),
  /** Absent in older files. */
  settings: z.string().optional(),
});

/** A parsed record: its text, its sample, and the hash of the settings. */
interface Found {
  readonly text: string;
  readonly sample: BaseSample;
  readonly settings: string | undefined;
}

const BASE = lazily(() => z.strictObject({ base: A_BASE }));

/** Makes the record of a base. @throws as reading tensors */
export async function recordBase(base: BaseModel): Promise<string> {
  checkArguments("recordBase", BASE, { base });
  const { vectors, matrices, isRounded } = await sampleBase(base);
  const settings = hashSettings(base.model);
  return JSON.stringify({
    vectors: encode(vectors),
    matrices: encode(matrices),
    rounded: isRounded,
    settings,
  });
}

/**
 * Compares a base with the one that an adapter was trained on, if its file has a record. `baseName`: from its configuration.
 * Different settings only give a note: some users change them on purpose, as to read longer texts, and some files lack settings.
 * @throws UsageError "usage/adapter" when it was trained on another base; FormatError "format/json" for a damaged record
 */
export async function checkBase(
  path: string,
  base: BaseModel,
  metadata: Readonly<Record<string, string>>,
  baseName: unknown,
): Promise<void> {
  const text = metadata[BASE_SAMPLE_KEY];
  if (text === undefined) return;
  const trained = readRecord(path, text);
  const own = readRecord(path, await recordBase(base));
  if (mayBeOneModel(trained.sample, own.sample)) {
    if (!mayBeAlike(trained.settings, own.settings)) base.addNote(otherSettings(path, base.name, baseName));
    return;
  }
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}" with this model: "${base.name}" has weights ${shortHash(own)}, expected ${shortHash(trained)} of ${nameOf(baseName)}, on which it was trained`,
    {
      hint: "Choose the base model that the adapter was trained on, in any form of its files, or train the adapter again on this one.",
    },
  );
}

function otherSettings(path: string, name: string, baseName: unknown): string {
  return `Adapter "${path}" was trained on this model with other settings: "${name}" has other rotary embeddings, windows, caps or factors than ${nameOf(baseName)} had, expected the same; compare their config.json`;
}

function nameOf(baseName: unknown): string {
  return typeof baseName === "string" ? `"${baseName}"` : '"its base"';
}

/** Whether two records may be of the same base; always if one is missing. @throws as `checkBase` */
export function mayShareBase(path: string, a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return true;
  return mayBeOneModel(readRecord(path, a).sample, readRecord(path, b).sample);
}

function readRecord(path: string, text: string): Found {
  try {
    const { vectors, matrices, rounded, settings } = RECORD.parse(JSON.parse(text));
    const sample = { vectors: decode(vectors), matrices: decode(matrices), isRounded: rounded };
    return { text, sample, settings };
  } catch (error) {
    throw new FormatError(
      "format/json",
      `Cannot read adapter "${path}": the record of its base (${BASE_SAMPLE_KEY}) is damaged, expected a record of graft`,
      { hint: "Save the adapter again with the program that made it.", cause: error },
    );
  }
}

function shortHash({ text }: Found): string {
  return new Sha256().update(text).digest().slice(0, 12);
}

function encode(values: Float32Array): string {
  return btoa(String.fromCharCode(...new Uint8Array(values.buffer)));
}

/** @throws RangeError when the number of bytes is not a multiple of 4 */
function decode(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
}
