/** @file Reads and checks the options of a command. Flags have precedence over the settings file, and that over defaults. */
import type { Environment } from "../../environment.ts";
import { UsageError } from "../../errors.ts";
import { expandHome } from "../../hub/model-name.ts";
import { showValue, type ValueForm } from "../../messages/expected.ts";
import { findDroppedKeys, findProblems, type Problem } from "../../messages/problems.ts";
import { adviceFor, kebabCase } from "../../messages/setting-names.ts";
import type { ParsedArgv } from "./argv.ts";
import type { Command } from "../command.ts";
import { readConfigFile, type SettingsFile } from "./config-file.ts";
import { readFlag } from "./flag-value.ts";
import type { Flag } from "./flags.ts";

const EMPTY_FILE: SettingsFile = { values: new Map(), names: new Map(), problems: [], hints: [] };

/** Options of a call, and the keys that were given by flags or the settings file. */
interface GivenOptions {
  readonly options: Record<string, unknown>;
  readonly given: ReadonlySet<string>;
}

/**
 * Reads and checks the options of a command.
 * @throws UsageError "usage/flag" that names all problems at once; FormatError "format/file" for the settings file.
 */
export async function readOptions(
  command: Command,
  flags: readonly Flag[],
  argv: ParsedArgv,
  env: Environment,
): Promise<GivenOptions> {
  const file =
    argv.configPath === null ? EMPTY_FILE : await readConfigFile(expandHome(argv.configPath, env), flags);
  const { values, unreadable } = readValues(flags, argv, file, env);
  const { found, keys } = findWrong(command, argv, file, values);
  const texts = [...unreadable].flatMap(([key, text]) => (keys.has(key) ? [] : text));
  const problems = [...argv.problems, ...file.problems, ...found, ...texts];
  if (problems.length === 0) {
    return { options: command.options.parse(values), given: new Set(Object.keys(values)) };
  }
  throw refusal(command, problems, [...argv.hints, ...file.hints, ...adviceOnKinds(command, argv)]);
}

/** Advice for a method, an optimizer or an objective that only other tools have, such as "qlora". */
function adviceOnKinds({ choosers = [] }: Command, { texts }: ParsedArgv): readonly string[] {
  return choosers.flatMap(({ key }) => adviceFor(texts.get(key)?.at(-1) ?? "") ?? []);
}

/** Makes the error that lists all problems of a call. */
function refusal({ name }: Command, problems: readonly string[], hints: readonly string[]): UsageError {
  const [first, ...others] = problems;
  const list = others.length === 0 ? ` ${first}` : ` ${problems.length} problems\n  ${problems.join("\n  ")}`;
  const hint = [...hints, `See graft ${name} --help.`].join(" ");
  return new UsageError("usage/flag", `Cannot run "graft ${name}":${list}`, { hint });
}

/**
 * Reads the kinds whose options the help should show; ignores everything else in the call.
 * @throws UsageError "usage/flag" for an unknown kind
 */
export function readChosen(
  command: Command,
  flags: readonly Flag[],
  argv: ParsedArgv,
): ReadonlyMap<string, string> {
  const chosen = new Map<string, string>();
  const problems: string[] = [];
  for (const { key, kinds } of command.choosers ?? []) {
    const text = argv.texts.get(key)?.at(-1);
    if (text === undefined) continue;
    const flag = flags.find((each) => each.key === key)!;
    if (kinds.some(({ name }) => name === text)) chosen.set(key, text);
    else problems.push(wrongText(flag, text, flag.expected));
  }
  if (problems.length > 0) throw refusal(command, problems, argv.hints);
  return chosen;
}

function wrongText({ name }: Flag, text: string | undefined, expected: string): string {
  return `--${name} is ${showValue(text)}, expected ${expected}`;
}

/** Merges the values of flags over those of the file; reports a problem for each flag whose text is of the wrong kind. */
function readValues(
  flags: readonly Flag[],
  argv: ParsedArgv,
  file: SettingsFile,
  env: Environment,
): { readonly values: Readonly<Record<string, unknown>>; readonly unreadable: ReadonlyMap<string, string> } {
  const values: Record<string, unknown> = Object.fromEntries(file.values);
  const unreadable = new Map<string, string>();
  for (const flag of flags) {
    const texts = argv.texts.get(flag.key);
    if (texts === undefined) continue;
    const reading = readFlag(flag, texts);
    if ("expected" in reading) {
      unreadable.set(flag.key, wrongText(flag, texts.at(-1), reading.expected));
      // The schema, which may depend on the chosen kind, gives a more exact message.
      values[flag.key] = texts.at(-1);
    } else values[flag.key] = reading.value;
  }
  for (const { key, takesPaths } of flags)
    if (takesPaths && Object.hasOwn(values, key)) values[key] = expandPaths(values[key], env);
  return { values, unreadable };
}

/** The name of an argument in the help. */
function argumentName(key: string): string {
  return kebabCase(key).toUpperCase();
}

/** The problems that the schema finds, with names as in the flags or the file, and the keys that have them. */
function findWrong(
  command: Command,
  argv: ParsedArgv,
  file: SettingsFile,
  values: Readonly<Record<string, unknown>>,
): { readonly found: readonly string[]; readonly keys: ReadonlySet<string> } {
  const dropped = findDroppedKeys(values);
  const find = (form: ValueForm): readonly Problem[] => [
    ...(command.findProblems?.(values, form) ?? findProblems(command.options, values, form)),
    ...dropped,
  ];
  const typed = find("typed");
  const written = file.names.size > 0 && typed.length > 0 ? find("written") : typed;
  const found = typed.flatMap(({ path, text }, i): string | [] => {
    const [key = "", ...inner] = path;
    // Already reported as a flag without a value, so not also as missing.
    if (argv.withoutValue.has(key)) return [];
    if (key === "") return text;
    const value = values[key];
    // Flags have precedence, so without a flag the problem is in the file.
    const nameOf = argv.texts.has(key) ? undefined : file.names.get(key);
    // The file may have a single value instead of a list of one.
    const isAlone = Array.isArray(value) && value.length === 1;
    if (nameOf !== undefined) return `${nameOf(isAlone ? inner.slice(1) : inner)} ${written[i]!.text}`;
    if (command.positionals.includes(key) && value === undefined) return `${argumentName(key)} ${text}`;
    // Values of a list are typed one by one, without an index.
    const inside = Array.isArray(value) ? inner.slice(1) : inner;
    return `--${[kebabCase(key), ...inside].join(".")} ${text}`;
  });
  return { found, keys: new Set(typed.map(({ path: [key = ""] }) => key)) };
}

/** Expands "~" in the value of a flag that takes paths: a path, `NAME=PATH`, or a list of them. */
function expandPaths(value: unknown, env: Environment): unknown {
  if (Array.isArray(value)) return value.map((each) => expandPaths(each, env));
  if (typeof value !== "string") return value;
  const [, name = "", path = ""] = /^([^=~/]*=)?(.*)$/s.exec(value) ?? [];
  return name + expandHome(path, env);
}
