/** @file Chooses what PEQA trains on at a place: the base's own codes, codes made from floats, or the base's projection. */
import { assertInternal, UsageError } from "../../../errors.ts";
import type { AffineFormat } from "../../../quant/affine/affine.ts";
import { quantizedFormat, type ScaleStart } from "../../../quant/affine/affine-quantize.ts";
import type { Storage } from "../../../quant/storage.ts";
import { STORAGE_NAMES, STORAGES } from "../../../quant/storages.ts";
import type { SitePlace } from "../../sites/site.ts";
import type { PeqaSite, TRAINED_SCALES } from "./codes.ts";

/** Which quantized weights are trained on their own codes. */
export const OWN_CODES = ["all", "written"] as const;

/** Default bits of new codes. */
export const DEFAULT_BITS = 4;

/** A user's options for the codes. */
interface Wanted {
  readonly bits: number | null;
  readonly groupSize: number | null;
  readonly init: ScaleStart;
  readonly scales: (typeof TRAINED_SCALES)[number];
  readonly ownCodes: (typeof OWN_CODES)[number];
}

/** Chooses the codes of a site. @throws UsageError "usage/quantization" for options that its weight does not allow */
export function chooseCodes(wanted: Wanted, place: SitePlace): PeqaSite {
  const { affine, blockSize, quantize }: Storage = STORAGES[place.storage];
  const isRead = affine === "not-affine" || quantize === "read-only";
  if (blockSize === 1 || (wanted.ownCodes === "written" && isRead)) {
    return { format: madeFormat(wanted, place), start: wanted.init, scales: wanted.scales };
  }
  const { scales } = wanted;
  if (affine !== "not-affine") {
    return { format: ownFormat(affine.format, wanted, place), start: null, scales };
  }
  // Of such a weight only the values are available, and a factor of the row scales these exactly.
  if (scales === "row" && wanted.bits === null && wanted.groupSize === null) {
    return { format: null, start: null, scales };
  }
  const isKnown = (name: keyof typeof STORAGES): boolean => STORAGES[name].affine !== "not-affine";
  throw refused(
    place,
    `its weight is kept as ${place.storage}, whose scales cannot be trained, expected floats or ${STORAGE_NAMES.filter(isKnown).join(", ")}`,
    'Train one factor per row, with scales "row" and neither bits nor group size; or use ownCodes "written", which rounds the weight to new codes.',
  );
}

/** Returns the format of new codes. @throws UsageError "usage/quantization" for groups that do not divide */
function madeFormat({ bits, groupSize: wanted }: Wanted, place: SitePlace): AffineFormat {
  const { inFeatures } = place.spec;
  const groupSize = wanted || inFeatures;
  if (inFeatures % groupSize !== 0) {
    throw refused(
      place,
      `${inFeatures} inputs in groups of ${groupSize}, expected groups that divide them`,
      `Choose a group size that divides ${inFeatures}, or 0 for one scale per row.`,
    );
  }
  return quantizedFormat({ bits: (bits ?? DEFAULT_BITS) as 2 | 3 | 4, groupSize });
}

/** Returns the format of a base's own codes. @throws UsageError "usage/quantization" when another one is requested */
function ownFormat(
  kept: Exclude<Storage["affine"], string>["format"],
  { bits, groupSize }: Wanted,
  place: SitePlace,
): AffineFormat {
  const own = kept.groupSize === "of-each-tensor" ? place.groupSize : kept.groupSize;
  assertInternal(own != null, `${place.storage} "${place.path}" without a size of its groups`);
  const format = { ...kept, groupSize: own };
  const wanted = groupSize === 0 ? place.spec.inFeatures : groupSize;
  if ((bits ?? format.bits) === format.bits && (wanted ?? own) === own) return format;
  throw refused(
    place,
    `its weight is kept as ${place.storage}, ${format.bits} bits in groups of ${own}, expected ${bits ?? format.bits} bits in groups of ${wanted ?? own}`,
    "Leave bits and group size out to train on the base's own codes, or use a float base.",
  );
}

function refused({ path }: SitePlace, problem: string, hint: string): UsageError {
  return new UsageError("usage/quantization", `Cannot use codes for "${path}": ${problem}`, { hint });
}
