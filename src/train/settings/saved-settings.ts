/** @file The settings that a run stores with its checkpoints, and that must be the same when it is resumed. */
import { mayBeOneBase } from "../../models/base/fingerprint.ts";
import { ACTIVATION_FORMS } from "../activations/forms.ts";
import { RENAMED_SETTINGS } from "./renamed-settings.ts";
import { SETTINGS, SETTING_GROUPS } from "./setting-groups.ts";

/** Settings that may differ in a resumed run, since they do not change its numbers: all of output and power, and these. */
const FREE_SETTINGS: readonly string[] = [
  ...Object.keys(SETTING_GROUPS.output),
  ...Object.keys(SETTING_GROUPS.power),
  "threads",
  "memory",
  "residentMemory",
];

/** Setting → values that do not change the numbers either. */
const FREE_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  activations: ACTIVATION_FORMS.filter(({ isExact }) => isExact).map(({ name }) => name),
};

/** Settings of the length of a run, which may change. */
const LENGTH_SETTINGS = ["steps", "epochs"];

/** Settings that may grow: a larger number lets a run continue where it would have ended, and changes nothing before. */
const PATIENCE_SETTINGS = ["earlyStopping"];

/** Settings that name input files → settings with a hash of their content, which older runs lack. */
export const CONTENTS = {
  data: "dataContents",
  evalData: "evalDataContents",
  initAdapter: "initAdapterContents",
  model: "modelContents",
} as const;

/** Settings that are missing in older runs, and in runs where they change no number. */
const OPTIONAL_SETTINGS = ["weights", "tokenizerHash", "chatTemplateHash"];

/** Names in messages for settings that users do not give; hashes of files go by the setting that names the file. */
const SHOWN_NAMES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(CONTENTS).map(([name, contents]) => [contents, name])),
  modelContents: "the fingerprint of the model",
  tokenizerHash: "the hash of the tokenizer",
  chatTemplateHash: "the hash of the chat template",
};
/** Messages show only the beginning of a hash. */
const LONG_HASH = /\b([0-9a-f]{12})[0-9a-f]{52}\b/g;

/** Settings that may name a base by its fingerprint. */
const BASES = ["model", "modelContents"];

/** Setting → its default, which applies to runs older than the setting. */
const DEFAULTS: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(SETTINGS).map(([key, schema]) => [key, schema.safeParse(undefined).data]),
);

/** Present names of the settings that differ although they must be the same in a resumed run. Files may have moved. */
export function changedSettings(
  saved: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): string[] {
  const free = new Set(LENGTH_SETTINGS);
  const isTold = (name: string): boolean => saved[name] !== undefined && given[name] !== undefined;
  for (const [name, contents] of Object.entries(CONTENTS)) free.add(isTold(contents) ? name : contents);
  for (const name of OPTIONAL_SETTINGS) if (!isTold(name)) free.add(name);
  for (const name of BASES) {
    const [before, now] = [saved[name], given[name]];
    if (typeof before === "string" && mayBeOneBase(before, String(now))) free.add(name);
  }
  for (const name of PATIENCE_SETTINGS)
    if (isTold(name) && Number(saved[name]) < Number(given[name])) free.add(name);
  const before = { ...DEFAULTS, ...saved };
  const now = { ...DEFAULTS, ...given };
  return Object.keys({ ...saved, ...given }).filter(
    (key) => !free.has(key) && JSON.stringify(before[key]) !== JSON.stringify(now[key]),
  );
}

/** Describes how a setting differs. */
export function describeChange(
  key: string,
  saved: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): string {
  const show = ({ [key]: value }: Readonly<Record<string, unknown>>): string =>
    value === undefined ? "not given" : JSON.stringify(value).replaceAll(LONG_HASH, "$1…");
  return `${SHOWN_NAMES[key] ?? key} was ${show(saved)}, is ${show(given)}`;
}

/** Picks from given or saved settings those that change the numbers, by their present names; a new object. */
export function numericSettings(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const named = Object.entries(settings).map(([key, value]): [string, unknown] => {
    const now = RENAMED_SETTINGS.get(key);
    return now ? [now.key, now.read(value)] : [key, value];
  });
  return Object.fromEntries(
    named.filter(
      ([key, value]) =>
        value !== undefined && !FREE_SETTINGS.includes(key) && !FREE_VALUES[key]?.includes(value),
    ),
  );
}
