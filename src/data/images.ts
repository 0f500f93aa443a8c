/**
 * @file Images with their classes, read from IDX files: the examples that a vision model trains on.
 *
 * The labels of FOLDER/NAME-images-idx3-ubyte lie in FOLDER/NAME-labels-idx1-ubyte; either may end in .gz. A folder has
 * its training images under "train" and, for evaluation, others under "t10k", "test" or "valid".
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../errors.ts";
import type { ImageConfig, ModelConfig } from "../models/architecture.ts";
import type { ExampleSource } from "./example.ts";
import { encodeIdx, readIdxFile } from "./idx-file.ts";

/** One image with its class. */
export interface ImageExample {
  /** Brightness from 0 to 255, [C, H, W]. */
  readonly pixels: Uint8Array;
  /** Its sizes C, H and W, as the model wants them. */
  readonly image: ImageConfig;
  /** Number of the class, from 0. */
  readonly label: number;
  /** Positions T that the model makes of it. */
  readonly numPositions: number;
  readonly source: ExampleSource;
}

/** Names of the parts of a folder that are not trained on, the likeliest first. */
const HELD_OUT = ["valid", "t10k", "test"];

function existing(...paths: readonly string[]): string | null {
  return paths.find((path) => existsSync(path)) ?? null;
}

function findPart(folder: string, part: string): string | null {
  const path = join(folder, `${part}-images-idx3-ubyte`);
  return existing(path, `${path}.gz`);
}

/** What of a model's configuration its images must fit. */
export type ImageModel = Pick<ModelConfig, "image" | "maxPositions" | "vocabSize">;

/**
 * Reads a file of images and the labels beside it, for a model that reads images; pixels are views of one array.
 * @throws FormatError "format/file" for damaged files, UsageError "usage/data" when images and labels do not pair or the
 * model has other sizes or fewer classes
 */
export function readImageFile(path: string, model: ImageModel): ImageExample[] {
  const { image, maxPositions: numPositions } = model;
  if (!image) throw new RangeError(`Cannot read images "${path}": the model reads none`);
  const bare = path.replace(/\.gz$/, "").replace(/images-idx3-ubyte$/, "labels-idx1-ubyte");
  const labelPath = existing(`${bare}${path.endsWith(".gz") ? ".gz" : ""}`, bare, `${bare}.gz`) ?? bare;
  const [images, labels] = [readIdxFile(path, 3), readIdxFile(labelPath, 1)];
  const [numImages, height, width] = images.shape as [number, number, number];
  if (labels.data.length !== numImages || numImages === 0) {
    throw new UsageError(
      "usage/data",
      `Cannot use images "${path}": ${numImages} images and ${labels.data.length} labels, expected one label an image`,
      { hint: "Put the two files of one set beside each other." },
    );
  }
  if (image.channels !== 1 || image.size !== height || image.size !== width) {
    throw new UsageError(
      "usage/data",
      `Cannot use images "${path}": 1 × ${height} × ${width} pixels, expected ${image.channels} × ${image.size} × ${image.size}`,
      { hint: "Choose a model of this image size with one channel, or convert the images." },
    );
  }
  const unknown = labels.data.findIndex((label) => label >= model.vocabSize);
  if (unknown >= 0) {
    throw new UsageError(
      "usage/data",
      `Cannot use labels "${labelPath}": class ${labels.data[unknown]} of image ${unknown + 1}, expected one below ${model.vocabSize}`,
      { hint: "Choose a model with more classes, or leave such images out." },
    );
  }
  return Array.from({ length: numImages }, (_, i) => ({
    pixels: images.data.subarray(i * height * width, (i + 1) * height * width),
    image,
    numPositions,
    label: labels.data[i] as number,
    source: { file: path, line: i + 1 },
  }));
}

/** The two files of a set of images of one channel: their names, after what is put before them, and their bytes. */
export function imageFiles(
  images: readonly Pick<ImageExample, "pixels" | "label">[],
  height: number,
  width: number,
): Record<string, Uint8Array> {
  const pixels = new Uint8Array(images.length * height * width);
  for (const [i, image] of images.entries()) pixels.set(image.pixels, i * height * width);
  const labels = Uint8Array.from(images, ({ label }) => label);
  return {
    "images-idx3-ubyte": encodeIdx({ shape: [images.length, height, width], data: pixels }),
    "labels-idx1-ubyte": encodeIdx({ shape: [images.length], data: labels }),
  };
}

/** Images to train on and, where a folder has some, to evaluate on. */
export interface ImageSet {
  readonly train: readonly ImageExample[];
  /** Null: there are none. */
  readonly heldOut: readonly ImageExample[] | null;
}

/** Reads a file of images, or a folder with such files. @throws as `readImageFile`, and UsageError "usage/data" for a folder without training images */
export function readImages(path: string, model: ImageModel): ImageSet {
  const isFolder = existsSync(path) && statSync(path).isDirectory();
  const trainPath = isFolder ? findPart(path, "train") : path;
  if (trainPath === null) {
    throw new UsageError(
      "usage/data",
      `Cannot use images "${path}": the folder has no training images, expected train-images-idx3-ubyte or the same with .gz`,
      { hint: "Name the file itself, or rename it." },
    );
  }
  const [heldOutPath] = isFolder ? HELD_OUT.flatMap((part) => findPart(path, part) ?? []) : [];
  return {
    train: readImageFile(trainPath, model),
    heldOut: heldOutPath === undefined ? null : readImageFile(heldOutPath, model),
  };
}
