/**
 * @file Data sets by paths of the disk: which files of a folder are read, and what they hold.
 *
 * A folder of texts has train, valid and test files. The labels of FOLDER/NAME-images-idx3-ubyte lie in
 * FOLDER/NAME-labels-idx1-ubyte; either may end in .gz. A folder of images has those to train on under "train" and, for
 * evaluation, others under "t10k", "test" or "valid".
 */
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { FormatError, UsageError } from "../errors.ts";
import { describeNames, wrongContents } from "../format/contents.ts";
import { maxDecompressedBytes } from "../limits.ts";
import { describeFileProblem, refuseEndless } from "../system-error.ts";
import type { DataReport } from "./data-report.ts";
import { DATA_ENDINGS, type DataPart, type DatasetOptions, readExamples } from "./dataset.ts";
import type { DataKindName, DataUnits } from "./data-kinds.ts";
import type { TrainingUnit } from "./batch.ts";
import type { Example } from "./example.ts";
import { decodeIdx, type IdxArray, unusableIdx } from "./idx-file.ts";
import { type ImageExample, type ImageModel, type NamedIdx, pairImages } from "./images.ts";

/** A data set; parts that there is no file for are null. */
export interface Dataset<U extends TrainingUnit = Example> {
  readonly train: readonly U[];
  readonly valid: readonly U[] | null;
  readonly test: readonly U[] | null;
  readonly reports: {
    readonly train: DataReport;
    readonly valid: DataReport | null;
    readonly test: DataReport | null;
  };
}

/** Reads a text file as UTF-8 without its byte order mark. @throws format/file when it cannot be read */
export function readText(path: string): string {
  try {
    refuseEndless(statSync(path));
    const text = readFileSync(path, "utf8");
    return text.startsWith("\uFEFF") ? text.slice(1) : text;
  } catch (cause) {
    if (isFolder(path)) {
      const given = describeNames(path, readdirSync(path));
      throw wrongContents("read", "data set", path, given, "a .jsonl, .json or .txt file");
    }
    throw new FormatError(
      "format/file",
      `Cannot read data set "${path}": ${describeFileProblem(cause)}, expected a .jsonl, .json or .txt file or a folder`,
      { hint: "Check the path.", cause },
    );
  }
}

/** Reads one file. @throws format/file, format/json, usage/data, usage/chat-template */
export function readDataFile<K extends DataKindName = "text">(
  path: string,
  options: DatasetOptions<K>,
): DataPart<DataUnits[K]> {
  return readExamples(readText(path), path, options);
}

/** Whether a file or folder of this name exists. */
export function isThere(path: string): boolean {
  return existsSync(path);
}

function existing(...paths: readonly string[]): string | null {
  return paths.find((path) => existsSync(path)) ?? null;
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** Finds the file of one part in a folder; null when there is none. */
function findTexts(folder: string, names: readonly string[]): string | null {
  return existing(...names.flatMap((name) => DATA_ENDINGS.map((ending) => join(folder, name + ending))));
}

/**
 * Reads a data set from a file or folder.
 * @throws format/file, format/json, usage/data, usage/chat-template, each naming the file and line
 */
export function readDataset<K extends DataKindName = "text">(
  path: string,
  options: DatasetOptions<K>,
): Dataset<DataUnits[K]> {
  const trainPath = isFolder(path) ? findTexts(path, ["train"]) : path;
  if (trainPath === null) {
    const { what, hint, kind } = describeNames(path, readdirSync(path));
    const isOther = kind === "model" || kind === "adapter" || kind === "run";
    const found = isOther ? `it is ${what}` : "the folder has no training file";
    throw new UsageError(
      "usage/data",
      `Cannot read data set "${path}": ${found}, expected train.jsonl, train.json or train.txt`,
      { hint: isOther ? hint : "Name the file itself, or rename it." },
    );
  }
  const validPath = isFolder(path) ? findTexts(path, ["valid", "validation"]) : null;
  const testPath = isFolder(path) ? findTexts(path, ["test"]) : null;
  const train = readDataFile(trainPath, options);
  const valid = validPath === null ? null : readDataFile(validPath, options);
  const test = testPath === null ? null : readDataFile(testPath, options);
  return {
    train: train.examples,
    valid: valid?.examples ?? null,
    test: test?.examples ?? null,
    reports: { train: train.report, valid: valid?.report ?? null, test: test?.report ?? null },
  };
}

/** Images to train on and, where a folder has some, to evaluate on. */
export interface ImageSet {
  readonly train: readonly ImageExample[];
  /** Null: there are none. */
  readonly heldOut: readonly ImageExample[] | null;
}

/** Names of the parts of a folder that are not trained on, the likeliest first. */
const HELD_OUT = ["valid", "t10k", "test"];

/** Reads an IDX file, compressed (gzip, told by its first bytes) or not. @throws FormatError "format/file" */
export function readIdxFile(path: string, rank: number): IdxArray {
  let bytes: Uint8Array;
  try {
    refuseEndless(statSync(path));
    bytes = readFileSync(path);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
      bytes = gunzipSync(bytes, { maxOutputLength: maxDecompressedBytes(bytes.length) });
    }
  } catch (cause) {
    const hint = "Check the path, and that the file was copied whole.";
    throw unusableIdx(path, describeFileProblem(cause), hint, cause);
  }
  return decodeIdx(bytes, rank, path);
}

/**
 * Reads a file of images and the labels beside it, for a model that reads images; pixels are views of one array.
 * @throws FormatError "format/file" for damaged files; as `pairImages`
 */
export function readImageFile(path: string, model: ImageModel): ImageExample[] {
  const bare = path.replace(/\.gz$/, "").replace(/images-idx3-ubyte$/, "labels-idx1-ubyte");
  const labelPath = existing(`${bare}${path.endsWith(".gz") ? ".gz" : ""}`, bare, `${bare}.gz`) ?? bare;
  const read = (file: string, rank: number): NamedIdx => ({ ...readIdxFile(file, rank), path: file });
  return pairImages(read(path, 3), read(labelPath, 1), model);
}

/** Reads a file of images, or a folder with such files. @throws as `readImageFile`, and UsageError "usage/data" for a folder without training images */
export function readImages(path: string, model: ImageModel): ImageSet {
  const findImages = (part: string): string | null => {
    const images = join(path, `${part}-images-idx3-ubyte`);
    return existing(images, `${images}.gz`);
  };
  const trainPath = isFolder(path) ? findImages("train") : path;
  if (trainPath === null) {
    throw new UsageError(
      "usage/data",
      `Cannot use images "${path}": the folder has no training images, expected train-images-idx3-ubyte or the same with .gz`,
      { hint: "Name the file itself, or rename it." },
    );
  }
  const [heldOutPath] = isFolder(path) ? HELD_OUT.flatMap((part) => findImages(part) ?? []) : [];
  return {
    train: readImageFile(trainPath, model),
    heldOut: heldOutPath === undefined ? null : readImageFile(heldOutPath, model),
  };
}
