/** @file Flags that once had another name, for hints. */
import { RENAMED_SETTINGS, type RenamedSetting } from "../train/saved-settings.ts";
import { type Flag, kebabCase } from "./flags.ts";

/** Old name of a flag → what it is today. */
const OLD_FLAGS: ReadonlyMap<string, RenamedSetting> = new Map([
  ...[...RENAMED_SETTINGS].map(([key, now]): [string, RenamedSetting] => [kebabCase(key), now]),
  // Of `graft merge`; that of `graft combine` has kept its name.
  ["type", { key: "dtype", read: (value) => value }],
]);

/** What an old flag (or its "no-" form) is called today, with a value where that says the same; null: it is none. */
export function renamedFlag(name: string, flags: readonly Flag[]): string | null {
  const plain = name.replace(/^no-/, "");
  const now = OLD_FLAGS.get(plain);
  const flag = flags.find(({ key }) => key === now?.key);
  if (!now || !flag) return null;
  const value = now.read(plain === name);
  return `--${name} is now --${flag.name}${typeof value === "string" ? ` ${value}` : ""}.`;
}
