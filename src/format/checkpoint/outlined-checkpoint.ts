/** @file A model of which only the configuration exists, for plans: the sizes of its tensors are known, their values are not. */
import { FormatError } from "../../errors.ts";
import { tellsClasses, withClasses } from "../../models/config/class-head.ts";
import { unnamedClasses } from "../../models/config/classifier-config.ts";
import type { RawConfig } from "../../models/config/raw-config.ts";
import { openModel } from "../../models/families.ts";
import type { ModelTensor } from "../../models/graphs/sites.ts";
import type { Folder } from "../files/folder.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { readConfig } from "./config-file.ts";
import { formatOf, withoutCodes } from "./codes/codes-forms.ts";
import { readOutline, unknownSizes } from "./outline.ts";
import { folderDtype } from "./folder-dtypes.ts";
import { readTokenizerFiles } from "./tokenizer-folder.ts";

/** Lists the tensors that files of a model hold. @throws UsageError "usage/model" */
function tensorsOf(config: RawConfig): readonly ModelTensor[] {
  try {
    return [...openModel(config).tensors.values()];
  } catch (error) {
    if (tellsClasses(config)) throw error;
    // A bare encoder is no complete model before a run gives it classes; its files hold everything but the head.
    const classifier = orNull(() => openModel(withClasses(config, unnamedClasses(2))));
    if (classifier === null) throw error;
    const ofHead = new Set(classifier.wholeHead.tensors.map(({ name }) => name));
    return [...classifier.tensors.values()].filter(({ name }) => !ofHead.has(name));
  }
}

function orNull<T>(make: () => T): T | null {
  try {
    return make();
  } catch {
    return null;
  }
}

/**
 * Opens a folder without weights; no tensor can be read.
 * @throws FormatError "format/json"; UsageError "usage/model" for an unknown family, and for weights whose sizes the configuration
 * does not tell; as `findForm`
 */
export async function openOutline(folder: Folder): Promise<Checkpoint> {
  const { path } = folder;
  const { settings, floats: floatSettings } = await readConfig(folder);
  const outline = await readOutline(folder, settings);
  if (outline === null) throw unknownSizes(path, settings);
  const { found } = outline;
  const config = withoutCodes(settings, found);
  const tensors = tensorsOf(config).map((tensor): TensorInfo => {
    const { name, shape } = tensor;
    return { name, shape, ...outline.held(tensor) };
  });
  const inCodes = tensors.filter(({ storage }) => folderDtype(storage) === null);
  const refuse = (name: string): Promise<never> =>
    Promise.reject(
      new FormatError("format/file", `Cannot read tensor "${name}" of "${path}": there are no weights`, {
        hint: "Download the whole model.",
      }),
    );
  return {
    path,
    format: found && inCodes.length > 0 ? formatOf(found.form) : "hf",
    ...(found ? { quantization: found.settings } : {}),
    config,
    floatSettings,
    generationConfig: null,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    tokenizerFiles: await readTokenizerFiles(folder),
    unusedTokenizerFiles: null,
    license: null,
    read: refuse,
    readInto: refuse,
    heldBytes: found?.form.isInFile ? 0 : inCodes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    view: () => null,
    close: () => Promise.resolve(),
  };
}
