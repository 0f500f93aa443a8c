/**
 * @file What an adapter's file says of the base that it was trained on: some of its numbers. By them another model of equal
 * shapes is refused, while the same model in other files is not.
 *
 * They are in the header of the tensors' file, which peft passes over. A name would not do: it may be a path.
 */
import { checkArguments, lazily } from "../../messages/arguments.ts";
import { z } from "zod";
import { FormatError, UsageError } from "../../errors.ts";
import { A_BASE, type BaseModel } from "../../models/base/base-model.ts";
import { type BaseSample, mayBeOneModel, sampleBase } from "../../models/base/base-sample.ts";
import { hashSettings, mayBeAlike } from "../../models/base/base-settings.ts";
import { Sha256 } from "../../sha256.ts";

/** Key in the head of the tensors' file. */
export const BASE_SAMPLE_KEY = "base_sample";

const RECORD = z.strictObject({
  vectors: z.base64(),
  matrices: z.base64(),
  rounded: z.boolean(),
  /** Absent in files that are older. */
  settings: z.string().optional(),
});

/** A record with the sample that it holds, and the hash of the settings. */
interface Found {
  readonly text: string;
  readonly sample: BaseSample;
  readonly settings: string | undefined;
}

const BASE = lazily(() => z.strictObject({ base: A_BASE }));

/** Reads what the head of a file is to say of a base. @throws as reading tensors */
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
 * Holds an adapter against the base that it was trained on, where its file says which. `baseName`: as its configuration has it.
 * Other settings are noted: some change them on purpose, as to read longer texts, and some files lack what others tell.
 * @throws UsageError "usage/adapter" when it was trained on another; FormatError "format/json" for what is no record
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

/** Whether two records may be of one base; one that is missing may be of any. @throws as `checkBase` */
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

/** @throws RangeError when the bytes are no float32 numbers */
function decode(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
}
