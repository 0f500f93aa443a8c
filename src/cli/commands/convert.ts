/** @file `graft convert`: converts an adapter between the files of graft and of other programs. */
import { z } from "zod";

import { UsageError } from "../../errors.ts";
import { ADAPTER_FORMS, ADAPTER_FORM_NAMES } from "../../export/adapter-forms.ts";
import { convertAdapter, formAt } from "../../export/convert-adapter.ts";
import { requireNewOutput } from "../../export/new-output.ts";
import { loadModel } from "../../format/by-path.ts";
import { defineCommand } from "../command.ts";
import { findModel } from "../model/find-model.ts";
import { MODEL_FLAGS } from "../model/model-flags.ts";
import { PATH } from "../../messages/paths.ts";
import { formatCountOf } from "../../messages/numbers.ts";

const FORMS = ADAPTER_FORM_NAMES.map((name) => `${name}: ${ADAPTER_FORMS[name].summary}`).join("; ");

export const command = defineCommand({
  example: "npx graft convert --adapter runs/mine --to gguf --output mine.gguf",
  positionals: [],
  options: z.strictObject({
    adapter: PATH.describe("Adapter to convert, a folder or a .gguf file: LoRA in one of these forms"),
    to: z.enum(ADAPTER_FORM_NAMES).describe(`Form to write; ${FORMS}`),
    output: PATH.describe("Where to write: a new folder, or a new .gguf file"),
    model: MODEL_FLAGS.model.describe(
      "Model that the adapter was made for; default: the one named in its files, as in those of peft",
    ),
  }),
  async run({ adapter, to, output, model: asked }, io) {
    const found = await formAt(adapter);
    if (found !== null) await ADAPTER_FORMS[found].requireFactors(adapter);
    if (found === to) {
      throw new UsageError(
        "usage/flag",
        `Cannot convert adapter "${adapter}" to ${to}: it is in that form already`,
        {
          hint: `Choose ${ADAPTER_FORM_NAMES.filter((name) => name !== to).join(" or ")}.`,
        },
      );
    }
    // A path of unknown form is read as a PEFT folder, whose reader says what is wrong with it.
    const from = found ?? "peft";
    if (asked === undefined && !ADAPTER_FORMS[from].namesModel) {
      throw new UsageError(
        "usage/flag",
        `Cannot convert adapter "${adapter}" without its model: ${from} files do not name it`,
        { hint: "Give the model it was made for as --model." },
      );
    }
    const { name, path } = await findModel({ model: asked, adapter }, io);
    const format = ADAPTER_FORMS[to].keptIn === "folder" ? "hf" : "gguf";
    await requireNewOutput(output, format, { adapter, model: path });
    const model = await loadModel(path, { name });
    try {
      const numModules = await convertAdapter({ adapter, from, to, output, model, signal: io.signal });
      io.stdout(`${formatCountOf(numModules, "module")} from ${from} to ${to}: ${output}`);
      io.emit({ event: "done", output, from, to, modules: numModules });
    } finally {
      await model.checkpoint.close();
    }
  },
});
