/** @file The settings that a run keeps with its checkpoints, to be the same when it goes on. */
import { mayBeOneBase } from "../../models/base/fingerprint.ts";
import { ACTIVATION_FORMS } from "../activations/forms.ts";
import { SETTING_GROUPS } from "./setting-groups.ts";
import { RENAMED_SETTINGS } from "./renamed-settings.ts";

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

/** Settings that name data, and the settings that say what is in these; runs that are older do not have the latter. */
export const DATA_CONTENTS = { data: "dataContents", evalData: "evalDataContents" } as const;

/** A setting that is kept where it changes numbers; runs that are older do not have it. */
const KEPT_WHERE_IT_MATTERS = "weights";

/** Names of the settings that must be the same when a run goes on, and are not, by the names of today. Data may have moved. */
export function changedSettings(
  saved: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): string[] {
  const free = new Set(LENGTH_SETTINGS);
  for (const [name, contents] of Object.entries(DATA_CONTENTS))
    free.add(saved[contents] === undefined || given[contents] === undefined ? contents : name);
  if (saved[KEPT_WHERE_IT_MATTERS] === undefined || given[KEPT_WHERE_IT_MATTERS] === undefined)
    free.add(KEPT_WHERE_IT_MATTERS);
  if (typeof saved["model"] === "string" && mayBeOneBase(saved["model"], String(given["model"])))
    free.add("model");
  return Object.keys({ ...saved, ...given }).filter(
    (key) => !free.has(key) && JSON.stringify(saved[key]) !== JSON.stringify(given[key]),
  );
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
