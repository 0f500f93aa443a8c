/** @file Source: a folder or file that the caller names directly. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";

import { FormatError } from "../errors.ts";
import { expandHome, isPathLike } from "./model-name.ts";
import { unreachable, type Source } from "./source.ts";

/** Finds models given as a path. @throws FormatError "format/file" when a name can only be a path and nothing is there. */
export const localPath: Source = {
  name: "local path",
  async find(model, context) {
    const path = resolve(expandHome(model.given, context.env));
    if (model.given !== "" && existsSync(path)) return { kind: "found", path };
    if (!isPathLike(model.given)) return unreachable(`nothing at ${path}`);
    throw new FormatError(
      "format/file",
      `Cannot open model "${model.given}": nothing at ${path}, expected a model folder or a .gguf file`,
      { hint: "Give an existing path, or a model name such as HuggingFaceTB/SmolLM2-135M-Instruct." },
    );
  },
};
