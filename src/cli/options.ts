/** @file From the words after a command's name to its checked options: flags over the settings file over defaults. */
import { UsageError } from "../errors.ts";
import { findProblems, showValue } from "../messages/expected.ts";
import { kebabCase } from "../messages/setting-names.ts";
import type { ParsedArgv } from "./argv.ts";
import type { Command } from "./command.ts";
import { readConfigFile, type ConfigFile } from "./config-file.ts";
import { readFlag } from "./flag-value.ts";
import type { Flag } from "./flags.ts";

const EMPTY_FILE: ConfigFile = { values: new Map(), problems: [], hints: [] };

/**
 * Reads and checks the options of a command.
 * @throws UsageError "usage/flag" that names all problems at once; FormatError "format/file" for the settings file.
 */
export async function readOptions(
  command: Command,
  flags: readonly Flag[],
  argv: ParsedArgv,
): Promise<Record<string, unknown>> {
  const file = argv.configPath === null ? EMPTY_FILE : await readConfigFile(argv.configPath, flags);
  const problems = [...argv.problems, ...file.problems];
  const values: Record<string, unknown> = Object.fromEntries(file.values);
  const unreadable = new Map<string, string>();
  for (const flag of flags) {
    const texts = argv.texts.get(flag.key);
    if (texts === undefined) continue;
    const reading = readFlag(flag, texts);
    if ("expected" in reading) {
      unreadable.set(flag.key, `--${flag.name} is ${showValue(texts.at(-1))}, expected ${reading.expected}`);
      // The schema, which may know what was chosen, says nearer what it expects.
      values[flag.key] = texts.at(-1);
    } else values[flag.key] = reading.value;
  }
  const found = command.findProblems?.(values, "typed") ?? findProblems(command.options, values, "typed");
  for (const { path, text } of found) {
    const [key = "", ...inner] = path;
    unreadable.delete(key);
    problems.push(key === "" ? text : `--${[kebabCase(key), ...inner].join(".")} ${text}`);
  }
  problems.push(...unreadable.values());
  if (problems.length === 0) return command.options.parse(values);
  const [first, ...others] = problems;
  const list = others.length === 0 ? ` ${first}` : ` ${problems.length} problems\n  ${problems.join("\n  ")}`;
  throw new UsageError("usage/flag", `Cannot run "graft ${command.name}":${list}`, {
    hint: [...argv.hints, ...file.hints, `See graft ${command.name} --help.`].join(" "),
  });
}
