/** @file `graft combine`: adapter arithmetic, from adapter folders to one adapter folder. */
import { z } from "zod";

import { UsageError } from "../../errors.ts";
import { combineAdapters, inputsOf } from "../../export/combined/combine.ts";
import type { CombinedFolder } from "../../export/combined/combined-folder.ts";
import { isModelFolder } from "../../export/combined/combine-models.ts";
import { type LoadedModel, loadModel } from "../../format/by-path.ts";
import { requireNewOutput } from "../../export/new-output.ts";
import { COMBINE_OPTIONS } from "../../peft/algebra/combinations.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { warn } from "../report.ts";
import { formatCount, formatPercent } from "../../messages/numbers.ts";
import { pullWithProgress } from "../model/pull-model.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";

/** Parses NAME=FOLDER into paths by name. @throws UsageError "usage/flag" for a text of another form, or a repeated name. */
function toAdapters(texts: readonly string[]): Record<string, string> {
  const adapters = Object.create(null) as Record<string, string>;
  for (const text of texts) {
    const [, name, path] = /^([A-Za-z_][A-Za-z0-9_.-]*)=(.+)$/.exec(text) ?? [];
    if (name === undefined || path === undefined || name in adapters) {
      const found =
        name !== undefined && name in adapters ? `the name "${name}" is given twice` : `"${text}"`;
      throw new UsageError("usage/flag", `Cannot read --adapter: ${found}, expected NAME=FOLDER`, {
        hint: "Give each adapter its own name: --adapter a=runs/first --adapter b=runs/second.",
      });
    }
    adapters[name] = path;
  }
  return adapters;
}

/** Loads the base of adapters, with the classification head that they bring, or of whole models. */
async function loadBase(
  model: string,
  adapters: Readonly<Record<string, string>>,
  io: CommandIO,
): Promise<LoadedModel> {
  const { path } = await pullWithProgress(model, io);
  const [first = ""] = Object.values(adapters);
  return await loadModel(path, (await isModelFolder(first)) ? {} : { adapter: first });
}

function tell(combined: CombinedFolder, type: string, output: string, io: CommandIO): void {
  const { expression, method, numParameters, residual, startCosine, warnings } = combined;
  for (const warning of warnings) warn(warning, io);
  io.stdout(`${expression} by ${type}: ${formatCount(numParameters)} parameters in ${output}`);
  if (residual) {
    const { total, worst } = residual;
    io.stdout(
      `cut off: ${formatPercent(total, 3)} of the sum, ${formatPercent(worst.residual, 3)} at most (${worst.path})`,
    );
  }
  io.emit({
    event: "done",
    output,
    expression,
    type,
    method,
    parameters: numParameters,
    residual: residual && {
      total: residual.total,
      worst: residual.worst.residual,
      worst_module: residual.worst.path,
    },
    start_cosine: startCosine && { adapters: startCosine.names, value: startCosine.value },
    warnings,
  });
}

export const command = defineCommand({
  example:
    'npx graft combine "0.6*a + 0.4*b" --adapter a=runs/first --adapter b=runs/second --output runs/both',
  positionals: ["expression"],
  options: z.strictObject({
    expression: z.string().describe('Weighted sum of adapters by name: "0.6*a + 0.4*b - c"'),
    adapter: z.array(NAME_OR_PATH).min(1).describe("NAME=FOLDER, once for each name in the expression"),
    model: NAME_OR_PATH.optional().describe(
      "Base model to check the adapters against; required where they train tensors of the base itself",
    ),
    ...COMBINE_OPTIONS.shape,
    output: PATH.describe("Where to write: a new folder"),
  }),
  async run({ adapter, model, output, ...input }, io) {
    const adapters = toAdapters(adapter);
    await requireNewOutput(output, "hf", inputsOf(adapters));
    const loaded = model === undefined ? null : await loadBase(model, adapters, io);
    try {
      const combined = await combineAdapters({
        ...input,
        adapters,
        signal: io.signal,
        ...(loaded ? { base: loaded.base, baseLicense: loaded.checkpoint.license } : {}),
      });
      await combined.write(output);
      tell(combined, input.type, output, io);
    } finally {
      await loaded?.checkpoint.close();
    }
  },
});
