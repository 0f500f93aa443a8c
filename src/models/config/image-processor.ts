/**
 * @file How the numbers of images become those that a model reads, by the settings of preprocessor_config.json.
 *
 *   x = (rescale_factor · brightness - image_mean) / image_std    in each channel
 *
 * Images are neither scaled nor cropped here: settings by which transformers would change one of the model's size are refused.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { showValue } from "../../messages/expected.ts";
import { findProblems, listProblems } from "../../messages/problems.ts";
import type { ImageConfig, Normalization } from "../family.ts";
import type { RawConfig } from "./raw-config.ts";

export const IMAGE_PROCESSOR_FILE = "preprocessor_config.json";

/** Brightness from 0 to 255 becomes -1 to 1, as Vision Transformers are commonly trained. */
export function plainNormalization(channels: number): Normalization {
  const halves = Array.from({ length: channels }, () => 0.5);
  return { rescale: 1 / 255, mean: halves, std: halves };
}

const SWITCH = z.boolean().nullish();
const SIZE = z.union([z.number(), z.record(z.string(), z.number().nullable())]).nullish();
const SCHEMA = z.looseObject({
  do_rescale: SWITCH,
  rescale_factor: z.number().positive().nullish(),
  do_normalize: SWITCH,
  image_mean: z.union([z.number(), z.array(z.number())]).nullish(),
  image_std: z.union([z.number().positive(), z.array(z.number().positive())]).nullish(),
  do_resize: SWITCH,
  size: SIZE,
  do_center_crop: SWITCH,
  crop_size: SIZE,
});

/** Names of classes, where it computes, and how it would resize or take channels, of which there are as many as the model reads. */
const NEUTRAL =
  /^(_.*|auto_map|processor_class|(image_processor|feature_extractor)_type|resample|default_to_square|do_convert_rgb|(input_)?data_format|return_tensors|device|disable_grouping|image_seq_length)$/;

/** What images of a model must be like, by its settings. @throws UsageError "usage/model" that lists every setting that is not implemented */
export function withImageProcessor(image: ImageConfig, raw: RawConfig): ImageConfig {
  const problems = [...listProblems(findProblems(SCHEMA, raw))];
  const parsed = SCHEMA.safeParse(raw).data ?? {};
  const usual = image.normalization;
  const ofChannels = (key: "image_mean" | "image_std", otherwise: readonly number[]): readonly number[] => {
    const found = parsed[key] ?? otherwise;
    if (typeof found === "number") return otherwise.map(() => found);
    if (found.length !== image.channels)
      problems.push(`${key} has ${found.length} numbers, expected ${image.channels}, one a channel`);
    return found;
  };
  const [mean, std] = [ofChannels("image_mean", usual.mean), ofChannels("image_std", usual.std)];
  const { size, crop_size: crop } = parsed;
  if (parsed.do_resize !== false) problems.push(...otherSize("size", size, image));
  if (parsed.do_center_crop) problems.push(...otherSize("crop_size", crop, image));
  const unknown = Object.keys(raw).filter((key) => !(key in SCHEMA.shape) && !NEUTRAL.test(key));
  for (const key of unknown) {
    const value = raw[key];
    if (value != null && value !== false) problems.push(`${key} is ${showValue(value)} (unknown setting)`);
  }
  if (problems.length > 0) {
    throw new UsageError(
      "usage/model",
      `Cannot prepare images by ${IMAGE_PROCESSOR_FILE} of this model: ${problems.join("; ")}`,
      {
        hint: `graft neither scales nor crops images: prepare them in the model's size, and let ${IMAGE_PROCESSOR_FILE} say only what is done to those.`,
      },
    );
  }
  const rescale = parsed.do_rescale === false ? 1 : (parsed.rescale_factor ?? usual.rescale);
  const isNormalized = parsed.do_normalize !== false;
  return {
    ...image,
    normalization: {
      rescale,
      mean: isNormalized ? mean : mean.map(() => 0),
      std: isNormalized ? std : std.map(() => 1),
    },
  };
}

/** What is wrong with a size, if it is another than the model's: a number, or those of height and width or of an edge. */
function otherSize(key: string, value: z.output<typeof SIZE>, { size }: ImageConfig): string[] {
  if (value == null) return [];
  const found = typeof value === "number" ? [value] : Object.values(value).filter((one) => one !== null);
  if (found.every((one) => one === size)) return [];
  return [`${key} is ${JSON.stringify(value)}, expected ${size}, the image_size of the model`];
}
