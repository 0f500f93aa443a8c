/** @file What to tell about a name that is no flag: it once was one, others call it so, or it was mistyped. */
import { adviceFor, kebabCase, nearestName } from "../../messages/setting-names.ts";
import { RENAMED_SETTINGS, type RenamedSetting } from "../../train/settings/renamed-settings.ts";
import type { Flag } from "./flags.ts";

/** Old name of a flag → what it is today. */
const OLD_FLAGS: ReadonlyMap<string, RenamedSetting> = new Map([
  ...[...RENAMED_SETTINGS].map(([key, now]): [string, RenamedSetting] => [kebabCase(key), now]),
  // Of `graft merge`; that of `graft combine` has kept its name.
  ["type", { key: "dtype", read: (value) => value }],
  // Of `graft serve`.
  ["cache-megabytes", { key: "cacheMemory", read: (value) => value }],
  ["max-body-megabytes", { key: "maxBody", read: (value) => value }],
  // Of `graft eval` and others that compute a loss.
  ["length", { key: "maxLength", read: (value) => value }],
]);

/** What an old flag (or its "no-" form) is called today, with a value where that says the same; null: it is none. */
function renamedFlag(name: string, flags: readonly Flag[]): string | null {
  const plain = name.replace(/^no-/, "");
  const now = OLD_FLAGS.get(plain);
  const flag = flags.find(({ key }) => key === now?.key);
  if (!now || !flag) return null;
  const value = now.read(plain === name);
  return `--${name} is now --${flag.name}${typeof value === "string" ? ` ${value}` : ""}.`;
}

/** What is told of an unknown name. */
interface UnknownName {
  /** What follows the name. */
  readonly problem: string;
  /** How to mend it; null: the problem says it. */
  readonly hint: string | null;
}

/** Names as they are given somewhere. */
interface KnownNames {
  readonly what: "flag" | "setting";
  readonly names: readonly string[];
  /** How one is written there. */
  readonly write: (name: string) => string;
}

/** Explains a name that is none of the flags. */
export function explainUnknown(
  name: string,
  flags: readonly Flag[],
  { what, names, write }: KnownNames,
): UnknownName {
  const renamed = renamedFlag(name, flags);
  if (renamed !== null) return { problem: `is not a ${what} any more`, hint: renamed };
  const match = nearestName(name, names);
  if (match === null) return { problem: `is not a ${what}`, hint: adviceFor(name) };
  const text = write(match.name) + (match.value === null ? "" : ` ${match.value}`);
  const problem = match.isSynonym
    ? `is not a ${what}: it is called ${text} here`
    : `is not a ${what}, the nearest is ${text}`;
  return { problem, hint: null };
}
