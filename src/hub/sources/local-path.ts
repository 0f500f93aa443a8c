/** @file Source: a folder or file that the caller names directly. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";

import { FormatError } from "../../errors.ts";
import { explainForeignName } from "../foreign-name.ts";
import { findSnapshot } from "../hf-snapshots.ts";
import { expandHome } from "../model-name.ts";
import { unreachable, type ModelSource } from "../source.ts";

/** Finds models given as a path. @throws FormatError "format/file" when a name can only be a path and nothing is there. */
export const localPath: ModelSource = {
  name: "local path",
  async find(model, context) {
    const path = resolve(expandHome(model.given, context.env));
    // The path of an entry of the Hugging Face cache stands for the model in it.
    if (model.given !== "" && existsSync(path)) {
      return { kind: "found", path: (await findSnapshot(path, null)) ?? path };
    }
    if (model.repository !== null) return unreachable(`nothing at ${path}`);
    const foreign = explainForeignName(model.given);
    throw new FormatError(
      "format/file",
      foreign === null
        ? `Cannot open model "${model.given}": nothing at ${path}, expected a model folder or a .gguf file`
        : `Cannot open model "${model.given}": it is ${foreign.what}, expected OWNER/NAME, a folder or a .gguf file`,
      {
        hint:
          foreign?.hint ??
          "Give an existing path, or a model name such as HuggingFaceTB/SmolLM2-135M-Instruct.",
      },
    );
  },
};
