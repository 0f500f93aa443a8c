/**
 * @file Images by paths on the disk: chooses which files of a folder are read.
 *
 * The labels of FOLDER/NAME-images-idx3-ubyte are in FOLDER/NAME-labels-idx1-ubyte; either may end in .gz. In a folder, the
 * images to train on are named "train"; others, for evaluation, are named "t10k", "test" or "valid".
 */
import { z } from "zod";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../errors.ts";
import { describeFileProblem, refuseEndless } from "../../messages/system-error.ts";
import { decodeIdx, type IdxArray, unusableIdx } from "../formats/idx-file.ts";
import { A_NAME, checkArguments, lazily } from "../../messages/arguments.ts";
import {
  AN_IMAGE_MODEL,
  type ImageExample,
  type ImageModel,
  type NamedIdx,
  pairImages,
} from "../examples/images.ts";
import { gunzipWithinLimit } from "./compressions.ts";
import { isFolder } from "./data-folder.ts";

function existing(...paths: readonly string[]): string | null {
  return paths.find((path) => existsSync(path)) ?? null;
}

/** Images to train on and, if a folder has some, images to evaluate on. */
export interface ImageSet {
  readonly train: readonly ImageExample[];
  /** Null: there are none. */
  readonly heldOut: readonly ImageExample[] | null;
}

/** Names of the parts of a folder that are not trained on, the preferred one first. */
const HELD_OUT = ["valid", "t10k", "test"];

/** Reads an IDX file, with or without gzip compression, detected by its first bytes. @throws FormatError "format/file" */
export function readIdxFile(path: string, rank: number): IdxArray {
  let bytes: Uint8Array;
  try {
    refuseEndless(statSync(path));
    bytes = readFileSync(path);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipWithinLimit(bytes);
  } catch (cause) {
    const hint = "Check the path, and that the file was copied completely.";
    throw unusableIdx(path, describeFileProblem(cause), hint, cause);
  }
  return decodeIdx(bytes, rank, path);
}

const ARGUMENTS = lazily(() => z.strictObject({ path: A_NAME, model: AN_IMAGE_MODEL }));

/**
 * Reads a file of images and the labels beside it, for a model that reads images; pixels are views of one array.
 * @throws FormatError "format/file" for damaged files; as `pairImages`
 */
export function readImageFile(path: string, model: ImageModel): ImageExample[] {
  checkArguments("readImageFile", ARGUMENTS, { path, model });
  const bare = path.replace(/\.gz$/, "").replace(/images-idx3-ubyte$/, "labels-idx1-ubyte");
  const labelPath = existing(`${bare}${path.endsWith(".gz") ? ".gz" : ""}`, bare, `${bare}.gz`) ?? bare;
  const read = (file: string, rank: number): NamedIdx => ({ ...readIdxFile(file, rank), path: file });
  return pairImages(read(path, 3), read(labelPath, 1), model);
}

/**
 * Reads a file of images, or a folder with such files.
 * @throws as `readImageFile`, and UsageError "usage/data" for a folder without training images
 */
export function readImages(path: string, model: ImageModel): ImageSet {
  checkArguments("readImages", ARGUMENTS, { path, model });
  const findImages = (part: string): string | null => {
    const images = join(path, `${part}-images-idx3-ubyte`);
    return existing(images, `${images}.gz`);
  };
  const trainPath = isFolder(path) ? findImages("train") : path;
  if (trainPath === null) {
    throw new UsageError(
      "usage/data",
      `Cannot use images "${path}": the folder has no training images, expected train-images-idx3-ubyte or the same with .gz`,
      { hint: "Give the file itself, or rename it." },
    );
  }
  const [heldOutPath] = isFolder(path) ? HELD_OUT.flatMap((part) => findImages(part) ?? []) : [];
  return {
    train: readImageFile(trainPath, model),
    heldOut: heldOutPath === undefined ? null : readImageFile(heldOutPath, model),
  };
}
