/** @file From the words after a command's name to its checked options: flags over the settings file over defaults. */
import type { z } from "zod";

import { UsageError } from "../errors.ts";
import type { ParsedArgv } from "./argv.ts";
import type { Command } from "./command.ts";
import { readConfigFile, type ConfigFile } from "./config-file.ts";
import { readFlag } from "./flag-value.ts";
import type { Flag } from "./flags.ts";

const EMPTY_FILE: ConfigFile = { values: new Map(), problems: [], hints: [] };

/** Writes a value as it would be typed; long ones are cut. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Writes what zod found as a phrase that names the flag. */
function problemOf(
  issue: z.core.$ZodIssue,
  values: Readonly<Record<string, unknown>>,
  flags: readonly Flag[],
): string {
  const [key, ...inner] = issue.path.map(String);
  const flag = flags.find((candidate) => candidate.key === key);
  if (flag === undefined) return issue.message;
  const name = `--${[flag.name, ...inner].join(".")}`;
  const value = values[flag.key];
  if (value === undefined) return `${name} is missing`;
  // "Too small: expected number to be >0": what was found says the first half better.
  return `${name} is ${show(value)}: ${issue.message.replace(/^(Invalid|Too) \w+: /, "")}`;
}

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
  const unreadable = new Set<string>();
  for (const flag of flags) {
    const texts = argv.texts.get(flag.key);
    if (texts === undefined) continue;
    const reading = readFlag(flag, texts);
    if ("expected" in reading) {
      unreadable.add(flag.key);
      problems.push(`--${flag.name} is ${show(texts.at(-1))}, expected ${reading.expected}`);
    } else values[flag.key] = reading.value;
  }
  const result = command.options.safeParse(values);
  for (const issue of result.error?.issues ?? []) {
    if (!unreadable.has(String(issue.path[0]))) problems.push(problemOf(issue, values, flags));
  }
  if (problems.length === 0 && result.success) return result.data;
  const [first, ...others] = problems;
  const list = others.length === 0 ? ` ${first}` : ` ${problems.length} problems\n  ${problems.join("\n  ")}`;
  throw new UsageError("usage/flag", `Cannot run "graft ${command.name}":${list}`, {
    hint: [...argv.hints, ...file.hints, `See graft ${command.name} --help.`].join(" "),
  });
}
