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

/** The part of a method's targets that follows from the option. */
export const WHOLE_MODULES = {
  modulesToSave: (options: WholeModules): readonly string[] | null => options.modulesToSave,
};

/** The option for a sum of adapters: all modules that any of them trains. */
export function joinWholeModules(terms: readonly WholeModules[]): WholeModules {
  return { modulesToSave: [...new Set(terms.flatMap(({ modulesToSave }) => modulesToSave ?? []))] };
}

/** Converts the option to PEFT's key. */
export function wholeModulesToConfig({ modulesToSave }: WholeModules): Readonly<Record<string, unknown>> {
  return { modules_to_save: modulesToSave?.length ? modulesToSave : null };
}

/** Reads the option from PEFT's key: modules that a file does not name were not trained. */
export function wholeModulesFromConfig(take: (key: string) => unknown): Readonly<Record<string, unknown>> {
  return { modulesToSave: take("modules_to_save") ?? [] };
}
