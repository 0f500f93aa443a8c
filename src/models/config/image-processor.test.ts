import assert from "node:assert/strict";
import { test } from "node:test";
import { plainNormalization, withImageProcessor } from "./image-processor.ts";

const IMAGE = { channels: 3, size: 8, patchSize: 2, normalization: plainNormalization(3) };
/** As transformers writes the file, of a model with images of this size. */
const WRITTEN = {
  crop_size: null,
  data_format: "channels_first",
  do_convert_rgb: null,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.485, 0.456, 0.406],
  image_processor_type: "ViTImageProcessor",
  image_std: [0.229, 0.224, 0.225],
  pad_size: null,
  resample: 2,
  rescale_factor: 1 / 255,
  size: { height: 8, width: 8 },
};

test("settings of a file say how brightness is read, and what it leaves out is as the family has it", () => {
  const read = (raw: object) => withImageProcessor(IMAGE, { ...raw }).normalization;
  const ofImages = { rescale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  assert.deepEqual(read(WRITTEN), ofImages);
  assert.deepEqual(read({}), IMAGE.normalization);
  assert.deepEqual(read({ image_mean: 0.1, size: 8 }), { ...IMAGE.normalization, mean: [0.1, 0.1, 0.1] });
  const unchanged = { rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] };
  assert.deepEqual(read({ ...WRITTEN, do_rescale: false, do_normalize: false }), unchanged);
  assert.deepEqual(read({ ...WRITTEN, do_resize: false, size: { shortest_edge: 9 } }), ofImages);
});

test("settings by which images would be other than they are here are refused by name", () => {
  const cases: readonly (readonly [raw: object, says: RegExp])[] = [
    [{ size: { height: 9, width: 8 } }, /size is {"height":9,"width":8}, expected 8, the image_size/],
    [{ do_center_crop: true, crop_size: 6 }, /crop_size is 6, expected 8/],
    [{ image_mean: [0.5] }, /image_mean has 1 numbers, expected 3, one a channel/],
    [{ image_std: [1, 0, 1] }, /image_std/],
    [{ do_rescale: "yes" }, /do_rescale is "yes"/],
    [{ do_pad: true, offset: true }, /do_pad is true \(unknown setting\); offset is true/],
  ];
  for (const [raw, message] of cases) {
    assert.throws(() => withImageProcessor(IMAGE, { ...WRITTEN, ...raw }), { code: "usage/model", message });
  }
});
