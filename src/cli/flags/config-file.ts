/** @file Reads a settings file (`--config FILE`, YAML or JSON) as values for the keys of a command's schema. */
import { FormatError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { requireShallowText } from "../../untrusted/limits.ts";
import { describeFileProblem } from "../../messages/system-error.ts";
import { readSetting } from "./flag-value.ts";
import type { Flag } from "./flags.ts";
import { plainName } from "../../messages/setting-names.ts";
import { explainUnknown } from "./renamed-flags.ts";

export interface SettingsFile {
  /** Key of the schema → value, not yet checked. */
  readonly values: ReadonlyMap<string, unknown>;
  /** Key of the schema → function that names it, or a value inside it, in messages: as in the file, with the file's name. */
  readonly names: ReadonlyMap<string, (inner: readonly string[]) => string>;
  readonly problems: readonly string[];
  /** How to fix some of the problems. */
  readonly hints: readonly string[];
}

const SETTINGS_HINT = "Write YAML with one setting per line, such as epochs: 3, or a single JSON object.";

async function readText(path: string): Promise<string> {
  try {
    return await disk().readFile(path, "utf8");
  } catch (error) {
    throw new FormatError(
      "format/file",
      `Cannot read settings file "${path}": ${describeFileProblem(error)}`,
      { hint: "Give --config the path of a YAML or JSON file.", cause: error },
    );
  }
}

/** Reads a settings file for a command with these flags. @throws FormatError "format/file" when it cannot be read or parsed. */
export async function readConfigFile(path: string, flags: readonly Flag[]): Promise<SettingsFile> {
  const text = await readText(path);
  requireShallowText(path, text);
  const { parse } = await import("yaml");
  let content: unknown;
  try {
    // JSON is a subset of YAML.
    content = parse(text, { logLevel: "error" });
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    throw new FormatError("format/file", `Cannot parse settings file "${path}": ${reason}`, {
      hint: SETTINGS_HINT,
      cause: error,
    });
  }
  if (content === null) return { values: new Map(), names: new Map(), problems: [], hints: [] };
  if (typeof content !== "object" || Array.isArray(content)) {
    throw new FormatError(
      "format/file",
      `Cannot use settings file "${path}": its top level is ${Array.isArray(content) ? "a list" : typeof content}, expected keys with values`,
      { hint: SETTINGS_HINT },
    );
  }
  const values = new Map<string, unknown>();
  const names = new Map<string, (inner: readonly string[]) => string>();
  const problems: string[] = [];
  const hints: string[] = [];
  for (const [key, value] of Object.entries(content)) {
    const nameOf = (inner: readonly string[]): string => `key "${[key, ...inner].join(".")}" of ${path}`;
    const name = nameOf([]);
    const flag = flags.find((candidate) => candidate.name === plainName(key));
    if (flag === undefined) {
      const { problem, hint } = explainUnknown(plainName(key), flags, {
        what: "setting",
        names: flags.map((flag) => flag.name),
        write: (name) => `"${flags.find((known) => known.name === name)?.key ?? name}"`,
      });
      problems.push(`${name} ${problem}`);
      if (hint !== null) hints.push(hint);
    } else if (values.has(flag.key)) problems.push(`${name} is given twice`);
    else {
      values.set(flag.key, readSetting(flag, value));
      names.set(flag.key, nameOf);
    }
  }
  return { values, names, problems, hints };
}
