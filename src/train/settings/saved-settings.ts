/** @file The settings that a run keeps with its checkpoints, to be the same when it goes on. */
import { mayBeOneBase } from "../../models/base/fingerprint.ts";
import { ACTIVATION_FORMS } from "../activations/forms.ts";
import { RENAMED_SETTINGS } from "./renamed-settings.ts";
import { SETTINGS, SETTING_GROUPS } from "./setting-groups.ts";

/** Settings that may differ when a run goes on, as they do not change its numbers: all of output and power, and these. */
const FREE_SETTINGS: readonly string[] = [
  ...Object.keys(SETTING_GROUPS.output),
  ...Object.keys(SETTING_GROUPS.power),
  "threads",
  "memory",
  "residentMemory",
];

/** Values of settings that change no number either, by the setting. */
const FREE_VALUES: Readonly<Record<string, readonly unknown[]>> = {
  activations: ACTIVATION_FORMS.filter(({ isExact }) => isExact).map(({ name }) => name),
};

/** Settings that say how long a run is: it can be made longer. */
const LENGTH_SETTINGS = ["steps", "epochs"];

/** Settings of which a larger number lets a run go on where it would have ended, and changes nothing before. */
const PATIENCE_SETTINGS = ["earlyStopping"];

/** Settings that name files of a run, and the settings that say what is in these; runs that are older do not have the latter. */
export const CONTENTS = {
  data: "dataContents",
  evalData: "evalDataContents",
  initAdapter: "initAdapterContents",
  model: "modelContents",
} as const;

/** Settings that runs do not have which are older, or where they change no number. */
const OPTIONAL_SETTINGS = ["weights", "tokenizerHash", "chatTemplateHash"];

/** What messages call settings that nobody gives; of files names and hashes are shown. */
const SHOWN_NAMES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(CONTENTS).map(([name, contents]) => [contents, name])),
  modelContents: "the fingerprint of the model",
  tokenizerHash: "the hash of the tokenizer",
  chatTemplateHash: "the hash of the chat template",
};
/** A hash is told from another by its beginning. */
const LONG_HASH = /\b([0-9a-f]{12})[0-9a-f]{52}\b/g;

/** Settings that may name a base by its fingerprint. */
const BASES = ["model", "modelContents"];

/** Setting → its default: so went a run that is older than the setting. */
const DEFAULTS: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(SETTINGS).map(([key, schema]) => [key, schema.safeParse(undefined).data]),
);

/** Names of the settings that must be the same when a run goes on, and are not, by the names of today. Files may have moved. */
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

/** Says how a setting differs that must be the same. */
export function describeChange(
  key: string,
  saved: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): string {
  const show = ({ [key]: value }: Readonly<Record<string, unknown>>): string =>
    value === undefined ? "not given" : JSON.stringify(value).replaceAll(LONG_HASH, "$1…");
  return `${SHOWN_NAMES[key] ?? key} was ${show(saved)}, is ${show(given)}`;
}

/** Picks the settings that change the numbers out of given or saved ones, by the names of today; a new object. */
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
