/** @file Images with their classes, from IDX files: the examples that a vision model trains on. */
import { z } from "zod";
import { A_COUNT, argument, checkArguments, objectWith, lazily } from "../../messages/arguments.ts";
import { UsageError } from "../../errors.ts";
import { dimsOf } from "../../graph/shape.ts";
import type { ImageConfig } from "../../models/family.ts";
import type { Model } from "../../models/model.ts";
import type { RowSource } from "../formats/parsed-row.ts";
import { encodeIdx, type IdxArray } from "../formats/idx-file.ts";

/** An image with its class. */
export interface ImageExample {
  /** Brightness from 0 to 255, [C, H, W]. */
  readonly pixels: Uint8Array;
  /** Its sizes C, H and W, as required by the model. */
  readonly image: ImageConfig;
  /** Number of the class, from 0. */
  readonly label: number;
  /** Positions T that the model makes from it. */
  readonly numPositions: number;
  readonly source: RowSource;
}

/** The part of a model's configuration that images must fit. */
export type ImageModel = Pick<Model, "image" | "maxPositions" | "numOutputs">;

/** Checks the model that a caller passes. */
export const AN_IMAGE_MODEL = objectWith<ImageModel>(
  "a model, such as `base.model`",
  "image",
  "maxPositions",
  "numOutputs",
);
const BYTES = argument<Uint8Array>("a Uint8Array", (value) => value instanceof Uint8Array);
const AN_IDX = z.looseObject({ path: z.string(), shape: z.array(z.int().min(0)), data: BYTES });
const PAIRED = lazily(() => z.strictObject({ images: AN_IDX, labels: AN_IDX, model: AN_IMAGE_MODEL }));
const AN_IMAGE = z.looseObject({ pixels: BYTES, label: z.int().min(0).max(255) });
const WRITTEN = lazily(() => z.strictObject({ images: z.array(AN_IMAGE), height: A_COUNT, width: A_COUNT }));

/** A decoded file, with its path for messages. */
export interface NamedIdx extends IdxArray {
  readonly path: string;
}

/**
 * Pairs images with their labels, for a model that reads images; pixels are views of one array.
 * @throws UsageError "usage/data" when images and labels do not match, or the model has other sizes or fewer classes
 */
export function pairImages(images: NamedIdx, labels: NamedIdx, model: ImageModel): ImageExample[] {
  checkArguments("pairImages", PAIRED, { images, labels, model });
  const { path } = images;
  const { image, maxPositions: numPositions } = model;
  if (!image) {
    throw new UsageError(
      "usage/model",
      `Cannot read images "${path}": the model reads none, expected one that does`,
      { hint: "Choose a vision model." },
    );
  }
  const [numImages, height, width] = dimsOf(images.shape, 3);
  if (labels.data.length !== numImages || numImages === 0) {
    throw new UsageError(
      "usage/data",
      `Cannot use images "${path}": ${numImages} images and ${labels.data.length} labels, expected one label per image`,
      { hint: "Put the two files of a set next to each other." },
    );
  }
  if (image.channels !== 1 || image.size !== height || image.size !== width) {
    throw new UsageError(
      "usage/data",
      `Cannot use images "${path}": 1 × ${height} × ${width} pixels, expected ${image.channels} × ${image.size} × ${image.size}`,
      { hint: "Choose a model with this image size and one channel, or convert the images." },
    );
  }
  const unknown = labels.data.findIndex((label) => label >= model.numOutputs);
  if (unknown >= 0) {
    throw new UsageError(
      "usage/data",
      `Cannot use labels "${labels.path}": class ${labels.data[unknown]} of image ${unknown + 1}, expected one below ${model.numOutputs}`,
      { hint: "Choose a model with more classes, or leave such images out." },
    );
  }
  return Array.from({ length: numImages }, (_, i) => ({
    pixels: images.data.subarray(i * height * width, (i + 1) * height * width),
    image,
    numPositions,
    label: labels.data[i]!,
    source: { file: path, line: i + 1 },
  }));
}

/**
 * Makes the two files of a set of images of one channel: their names, without the part that names the set, and their bytes.
 * @throws UsageError "usage/flag" for invalid images or sizes
 */
export function imageFiles(
  images: readonly Pick<ImageExample, "pixels" | "label">[],
  height: number,
  width: number,
): Record<string, Uint8Array> {
  checkArguments("imageFiles", WRITTEN, { images, height, width });
  const pixels = new Uint8Array(images.length * height * width);
  for (const [i, image] of images.entries()) pixels.set(image.pixels, i * height * width);
  const labels = Uint8Array.from(images, ({ label }) => label);
  return {
    "images-idx3-ubyte": encodeIdx({ shape: [images.length, height, width], data: pixels }),
    "labels-idx1-ubyte": encodeIdx({ shape: [images.length], data: labels }),
  };
}
