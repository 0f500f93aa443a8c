/** @file Fashion-MNIST as a task: pictures as they are, then as negatives that lie on their side. */
import { join } from "node:path";
import { readImageFile } from "../../src/index.ts";
import { plainNormalization } from "../../src/models/config/image-processor.ts";
import type { Picture, Task } from "./compare.ts";

const SIZE = 28;
const CLASSES = [
  "T-shirt",
  "trouser",
  "pullover",
  "dress",
  "coat",
  "sandal",
  "shirt",
  "sneaker",
  "bag",
  "boot",
];
const SIZES = {
  imageSize: SIZE,
  patchSize: 7,
  width: 64,
  numLayers: 4,
  numHeads: 4,
  classes: CLASSES,
};

/** Turns a picture by a quarter and swaps dark and bright. */
export function alter({ pixels, label }: Picture, size = SIZE): Picture {
  const turned = pixels.map((_, place) => {
    const [row, column] = [Math.floor(place / size), place % size];
    return 255 - pixels[(size - 1 - column) * size + row]!;
  });
  return { pixels: turned, label };
}

/** Reads the data set's folder; few pictures of after the change are left to train on. */
export function readFashion(folder: string, numTune: number, numTest: number): Task {
  const read = (part: string): Picture[] =>
    readImageFile(join(folder, `${part}-images-idx3-ubyte.gz`), {
      image: { channels: 1, size: SIZE, patchSize: SIZES.patchSize, normalization: plainNormalization(1) },
      maxPositions: (SIZE / SIZES.patchSize) ** 2 + 1,
      numOutputs: CLASSES.length,
    });
  const [train, test] = [read("train"), read("t10k").slice(0, numTest)];
  const after = { train: train.slice(0, numTune), test };
  return {
    sizes: SIZES,
    before: { train: train.slice(numTune), test },
    after: {
      train: after.train.map((picture) => alter(picture)),
      test: after.test.map((picture) => alter(picture)),
    },
  };
}
