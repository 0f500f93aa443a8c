/** @file Small images that are drawn by code, one kind of shape a class, somewhere in the picture, on a dim ground. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { imageFiles } from "../../src/data/examples/images.ts";
import { Random } from "../../src/random.ts";

/** Height and width of the images. */
export const TINY_IMAGE_SIZE = 12;
/** Half of the height and width of a shape. */
const RADIUS = 3;

/** Whether a shape covers a place, seen from its middle. */
const SHAPES: readonly ((x: number, y: number) => boolean)[] = [
  (_, y) => y === 0, // bar
  (x, y) => x === 0 || y === 0, // cross
  (x, y) => Math.max(Math.abs(x), Math.abs(y)) === RADIUS, // ring
  (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 2, // dot
  (x, y) => (x + y) % 2 === 0, // checks
];

/** An image with the number of its shape. */
interface TinyImage {
  readonly pixels: Uint8Array;
  readonly label: number;
}

/** Draws images of all shapes in turn; `inverted`: dark on bright. */
export function drawImages(numImages: number, seed: number, inverted = false): TinyImage[] {
  const random = new Random(seed);
  const size = TINY_IMAGE_SIZE;
  return Array.from({ length: numImages }, (_, i) => {
    const label = i % SHAPES.length;
    const [left, top] = [RADIUS, RADIUS].map((edge) => edge + random.integer(size - 2 * edge));
    const pixels = new Uint8Array(size * size).map((_pixel, place) => {
      const [x, y] = [(place % size) - left!, Math.floor(place / size) - top!];
      const isInside = Math.max(Math.abs(x), Math.abs(y)) <= RADIUS;
      const bright = isInside && SHAPES[label]?.(x, y) ? 160 + random.integer(80) : random.integer(60);
      return inverted ? 255 - bright : bright;
    });
    return { pixels, label };
  });
}

/** Writes images as the part of a data set; returns the folder. */
export function writeImages(folder: string, part: string, images: readonly TinyImage[]): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(imageFiles(images, TINY_IMAGE_SIZE, TINY_IMAGE_SIZE))) {
    writeFileSync(join(folder, `${part}-${name}`), bytes);
  }
  return folder;
}
