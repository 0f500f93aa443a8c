/** @file Explains a name that is not a flag: it was one earlier, is one in other tools, or is mistyped. */
import { adviceFor, kebabCase, nearestName } from "../../messages/setting-names.ts";
import { RENAMED_SETTINGS, type RenamedSetting } from "../../train/settings/renamed-settings.ts";
import type { Flag } from "./flags.ts";

/** Old name of a flag → its current setting. */
const OLD_FLAGS: ReadonlyMap<string, RenamedSetting> = new Map([
  ...[...RENAMED_SETTINGS].map(([key, now]): [string, RenamedSetting] => [kebabCase(key), now]),
  // A flag of `graft merge`; `graft combine` still has its own --type.
  ["type", { key: "dtype", read: (value) => value }],
  // Flags of `graft serve`.
  ["cache-megabytes", { key: "cacheMemory", read: (value) => value }],
  ["max-body-megabytes", { key: "maxBody", read: (value) => value }],
  // A flag of `graft eval` and other commands that compute a loss.
  ["length", { key: "maxLength", read: (value) => value }],
]);

/** Names the current form of an old flag (or of its "no-" form), with an equivalent value; null: it is not an old flag. */
function renamedFlag(name: string, flags: readonly Flag[]): string | null {
  const plain = name.replace(/^no-/, "");
  const now = OLD_FLAGS.get(plain);
  const flag = flags.find(({ key }) => key === now?.key);
  if (!now || !flag) return null;
  const value = now.read(plain === name);
  return `--${name} is now --${flag.name}${typeof value === "string" ? ` ${value}` : ""}.`;
}

/** The explanation of an unknown name. */
interface UnknownName {
  /** The words after the name. */
  readonly problem: string;
  /** How to fix it; null: the problem says so. */
  readonly hint: string | null;
}

/** The names that are known in one place. */
interface KnownNames {
  readonly what: "flag" | "setting";
  readonly names: readonly string[];
  /** Writes a name in the form used there. */
  readonly write: (name: string) => string;
}

/** Explains a name that is not a flag. */
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
