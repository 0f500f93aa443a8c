/** @file IDX files of images and labels, plain and compressed. */
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { readImageFile } from "../../../src/data/files/image-files.ts";
import { plainNormalization } from "../../../src/models/config/image-processor.ts";
import { imageFiles } from "../../../src/data/examples/images.ts";
import { drawImages, TINY_IMAGE_SIZE } from "../../tiny/images.ts";
import { scratchFolder } from "../scratch.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateBytes } from "../mutate.ts";

export const images: FuzzFormat = {
  name: "images",
  numCases: 400,
  prepare() {
    const folder = scratchFolder();
    const files = imageFiles(drawImages(4, 1), TINY_IMAGE_SIZE, TINY_IMAGE_SIZE);
    const [pixels, labels] = [files["images-idx3-ubyte"]!, files["labels-idx1-ubyte"]!];
    const zipped = gzipSync(pixels);
    const model = {
      image: { channels: 1, size: TINY_IMAGE_SIZE, patchSize: 4, normalization: plainNormalization(1) },
      maxPositions: 10,
      numOutputs: 5,
    };
    return {
      make: (random) => mutateBytes(random, random.integer(2) === 0 ? pixels : zipped),
      read(input) {
        const path = `${folder}/train-images-idx3-ubyte`;
        writeFileSync(path, input);
        writeFileSync(`${folder}/train-labels-idx1-ubyte`, labels);
        return readImageFile(path, model);
      },
    };
  },
};
