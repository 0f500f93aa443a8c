/**
 * @file Chooses which files of a folder are pushed: those of an adapter or a model, by their known names, so that nothing else is
 * published. The folder is first read as a user would read it.
 */
import { join } from "node:path";

import { withModulesOfGraft } from "../../format/adapters/adapter-base.ts";
import { refuseNonNumbers } from "../../format/adapters/adapter-folder.ts";
import { readSettings } from "../../format/adapters/adapter-settings.ts";
import { loadModel, readAdapterFolder } from "../../format/by-path.ts";
import { CARD_FILE } from "../../format/cards/model-card.ts";
import { describeFolder, wrongContents } from "../../format/contents.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { nodeFolder } from "../../format/files/node-folder.ts";
import { systemCode } from "../../messages/system-error.ts";

/** Names in the folders of adapters and models; state, log and settings of a run are not published. */
const PUBLIC =
  /^(README\.md|LICENSE(\.\w+)?|loss\.svg|adapter_(config\.json|model\.safetensors)|(config|generation_config|preprocessor_config|quantize_config)\.json|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|tokenizer\.(json|model)|(tokenizer_config|special_tokens_map|added_tokens|vocab)\.json|(vocab|merges)\.txt|chat_template\.jinja)$/;

/** A folder that can be pushed. */
export interface PublicFolder {
  readonly kind: "adapter" | "model";
  readonly files: readonly { readonly name: string; readonly sizeBytes: number }[];
  /** Names of files that are not pushed. */
  readonly leftOut: readonly string[];
  /** Sentences that the user should see. */
  readonly notes: readonly string[];
}

/**
 * Reads a folder as a user who downloads it would, and chooses its files.
 * @throws FormatError, UsageError for a folder that graft itself could not use
 */
export async function readPublicFolder(path: string): Promise<PublicFolder> {
  const folder = nodeFolder(path);
  const contents = await describeFolder(folder);
  const { kind } = contents;
  if (kind !== "adapter" && kind !== "model") {
    throw wrongContents("push folder", path, contents, "a folder of an adapter or a model");
  }
  const notes: string[] = [];
  if (kind === "model") {
    const { checkpoint } = await loadModel(path);
    await checkpoint.close();
  } else notes.push(...(await checkAdapter(path)));

  const files: { name: string; sizeBytes: number }[] = [];
  const leftOut: string[] = [];
  for (const name of await folder.names()) {
    const info = PUBLIC.test(name) ? await disk().stat(join(path, name)) : null;
    if (info?.isFile()) files.push({ name, sizeBytes: info.size });
    else leftOut.push(name);
  }
  if (!files.some(({ name }) => name === CARD_FILE)) {
    notes.push(`The folder has no ${CARD_FILE}: its page will not show base, licence and data`);
  }
  return { kind, files, leftOut, notes };
}

/** Checks an adapter; returns notes for its owner. */
async function checkAdapter(path: string): Promise<string[]> {
  const { config, tensors } = await readAdapterFolder(path);
  readSettings(path, withModulesOfGraft(config, tensors));
  refuseNonNumbers(`push adapter "${path}"`, tensors);
  const base = config["base_model_name_or_path"];
  const isHere =
    typeof base === "string" &&
    (await disk()
      .stat(base)
      .then(
        () => true,
        (error: unknown) => systemCode(error) === "EACCES",
      ));
  return isHere
    ? [`The adapter refers to its base by a path on this machine, "${base}", which others cannot find`]
    : [];
}
