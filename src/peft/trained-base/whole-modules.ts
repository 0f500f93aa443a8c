/** @file The option to train whole modules beside an adapter, and its key in configuration files. */
import { z } from "zod";

/** Field of an options schema. */
export const MODULES_TO_SAVE = {
  modulesToSave: z
    .array(z.string())
    .nullable()
    .default(null)
    .describe(
      "modules that are trained whole and saved with the adapter, by name or path; default: the head, if the model classifies texts",
    ),
};
const FIELDS = z.object(MODULES_TO_SAVE);
export type WholeModules = z.output<typeof FIELDS>;

/** The option, where the rest of the program asks for it. */
export const WHOLE_MODULES = {
  modulesToSave: (options: WholeModules): readonly string[] | null => options.modulesToSave,
};

/** The option of a sum of adapters: all modules that one of them trains. */
export function joinWholeModules(terms: readonly WholeModules[]): WholeModules {
  return { modulesToSave: [...new Set(terms.flatMap(({ modulesToSave }) => modulesToSave ?? []))] };
}

/** The option as PEFT's key. */
export function wholeModulesToConfig({ modulesToSave }: WholeModules): Readonly<Record<string, unknown>> {
  return { modules_to_save: modulesToSave?.length ? modulesToSave : null };
}

/** The option by PEFT's key: what a file does not name was not trained. */
export function wholeModulesFromConfig(take: (key: string) => unknown): Readonly<Record<string, unknown>> {
  return { modulesToSave: take("modules_to_save") ?? [] };
}
