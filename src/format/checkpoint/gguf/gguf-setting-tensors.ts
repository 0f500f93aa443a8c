/** @file Tensors of one number per block, which are settings in GGUF files: a list, or one number for all blocks. */
import { FormatError } from "../../../errors.ts";
import type { GgufRules } from "../../../models/config/gguf-rules.ts";
import { type HostTensor, hostTensor } from "../../../runtime/host-tensor.ts";
import type { GgufMetadata } from "../../files/gguf/gguf.ts";

/** Makes the tensors of all blocks, by their names in folders. @throws FormatError "format/file" for a setting of another type */
export function tensorsOfSettings(
  file: GgufMetadata,
  { tensorsInSettings = {}, blockPrefix }: GgufRules,
  numBlocks: number,
): ReadonlyMap<string, HostTensor<"float32">> {
  const tensors = new Map<string, HostTensor<"float32">>();
  for (const [setting, { path, shape }] of Object.entries(tensorsInSettings)) {
    const found = file.metadata[setting];
    const values: readonly unknown[] = Array.isArray(found)
      ? found
      : Array.from({ length: numBlocks }, () => found);
    if (values.length !== numBlocks || !values.every((value) => typeof value === "number")) {
      throw new FormatError(
        "format/file",
        `Cannot read GGUF file "${file.path}": setting ${setting} is not a list of ${numBlocks} numbers, expected one`,
        { hint: "Convert the model to GGUF again." },
      );
    }
    for (const [block, value] of values.entries())
      tensors.set(`${blockPrefix}${block}.${path}`, hostTensor("float32", shape, Float32Array.of(value)));
  }
  return tensors;
}

/** Finds the setting that holds a tensor in files; null: it is a tensor there too. */
export function settingOfTensor(
  { tensorsInSettings = {}, blockPrefix }: GgufRules,
  hfName: string,
): { readonly setting: string; readonly block: number } | null {
  if (!hfName.startsWith(blockPrefix)) return null;
  const { block, path } = /^(?<block>\d+)\.(?<path>.+)$/.exec(hfName.slice(blockPrefix.length))?.groups ?? {};
  const found = Object.entries(tensorsInSettings).find(([, to]) => to.path === path);
  return found === undefined ? null : { setting: found[0], block: Number(block) };
}
