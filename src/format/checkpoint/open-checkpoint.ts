/**
 * @file Opens a base model, whatever its format: a folder with config.json and safetensors, or with one .gguf file.
 */
import { FormatError } from "../../errors.ts";
import { type Folder, pathIn } from "../files/folder.ts";
import { type Checkpoint, GGUF_ENDING } from "./checkpoint.ts";
import { openGgufCheckpoint } from "./gguf-checkpoint.ts";
import { openHfCheckpoint } from "./hf-folder.ts";

/**
 * Opens the base model of a folder; the caller closes it.
 * @throws FormatError format/file, format/json, format/tensor when something is missing, truncated or damaged
 * @throws UsageError usage/model when a GGUF file holds a kind of model or tensor that graft does not know
 */
export async function openCheckpoint(folder: Folder): Promise<Checkpoint> {
  const names = await folder.names();
  if (names.includes("config.json")) return await openHfCheckpoint(folder, names);
  const ggufNames = names.filter((name) => name.endsWith(GGUF_ENDING));
  if (ggufNames.length === 1) return await openGgufCheckpoint(await folder.open(ggufNames[0]!));
  throw new FormatError(
    "format/file",
    ggufNames.length === 0
      ? `Cannot open model "${folder.path}": no config.json and no .gguf file, expected a model folder`
      : `Cannot open model "${folder.path}": ${ggufNames.length} .gguf files, expected one`,
    {
      hint:
        ggufNames.length === 0
          ? "Give the folder that holds config.json, or check that the download is complete."
          : `Give the path of one of them, such as ${pathIn(folder, ggufNames[0]!)}.`,
    },
  );
}
