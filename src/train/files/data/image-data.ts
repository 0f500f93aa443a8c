/** @file The images on which a run trains and is evaluated. */
import { readImageFile, readImages } from "../../../data/files/image-files.ts";
import { UsageError } from "../../../errors.ts";
import type { Model } from "../../../models/model.ts";
import type { TrainOptions } from "../../settings/options.ts";
import { areRows, namesOf } from "./data-names.ts";
import { type RunData, joinHeldOut, sourcesOf } from "./run-data.ts";

/** Reads the images of a run. @throws as `readRunData` */
export function readImageData(options: TrainOptions, model: Model): RunData {
  requireUnpacked(options);
  const names = namesOf(options.data);
  const { evalData } = options;
  if (areRows(options.data) || areRows(evalData)) {
    throw new UsageError("usage/data", "Cannot train on rows: the model reads images", {
      hint: "Give IDX files, or a folder with them.",
    });
  }
  const sets = names.map(({ name }) => readImages(name as string, model));
  return {
    train: sets.flatMap(({ train }) => train),
    sources: sourcesOf(sets, names),
    heldOut:
      evalData === undefined
        ? joinHeldOut(sets.map(({ heldOut }) => heldOut))
        : readImageFile(evalData, model),
    fileHashes: new Map(),
    chatTemplateHash: null,
    tokenizerHash: null,
    numDropped: 0,
    notes: [],
    warnings: [],
  };
}

/** @throws UsageError "usage/flag" if images would be packed */
export function requireUnpacked({ packing }: Pick<TrainOptions, "packing">): void {
  if (!packing) return;
  throw new UsageError("usage/flag", "Cannot pack images: each takes a whole row", {
    hint: "Leave packing out.",
  });
}
