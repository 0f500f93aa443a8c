/** @file The comparison on a few drawn images: that it runs, and what it counts. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { TINY_IMAGE_SIZE, drawImages } from "../../test/tiny/images.ts";
import { compare } from "./compare.ts";
import { alter } from "./fashion.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-images-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("alter() turns a picture by a quarter, dark on bright", () => {
  const picture = { pixels: Uint8Array.of(0, 1, 2, 3), label: 7 };
  assert.deepEqual(alter(picture, 2), { pixels: Uint8Array.of(253, 255, 252, 254), label: 7 });
});

test("compare() pre-trains, tunes with each method and measures", async () => {
  const images = (seed: number, inverted: boolean) => ({
    train: drawImages(100, seed, inverted),
    test: drawImages(30, seed + 1, inverted),
  });
  const classes = ["bar", "cross", "ring", "dot", "checks"];
  const sizes = { imageSize: TINY_IMAGE_SIZE, patchSize: 3, width: 16, numLayers: 1, numHeads: 2, classes };
  const said: string[] = [];
  const { pretrained, results } = await compare(
    { sizes, before: images(1, false), after: images(3, true) },
    {
      pretrainSteps: 100,
      tuneSteps: 60,
      batchSize: 10,
      seed: 1,
      threads: 1,
      methods: [
        { method: "full", learningRate: 3e-3 },
        { method: "lora", rank: 2, learningRate: 1e-2 },
      ],
    },
    folder,
    (line) => said.push(line),
  );
  const isShare = (x: number): boolean => x >= 0 && x <= 1;
  assert.ok(isShare(pretrained.own) && isShare(pretrained.other));
  // Class, positions, patches, six projections with biases, three norms, head.
  const full = 16 + 17 * 16 + 10 * 16 + 4 * 17 * 16 + 17 * 32 + 33 * 16 + 6 * 16 + 17 * 5;
  const lora = 2 * (4 * (16 + 16) + 2 * (16 + 32));
  assert.deepEqual(
    results.map((r) => [r.method, r.trainableParameters, r.optimizerBytes]),
    [
      ["full", full, 8 * full],
      ["lora", lora, 8 * lora],
    ],
  );
  for (const { method, accuracy } of results) assert.ok(isShare(accuracy), method);
  assert.deepEqual(
    said.map((line) => line.split(":")[0]),
    ["pre-trained", "full", "lora"],
  );
});
