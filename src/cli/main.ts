/**
 * @file The program: finds the command, calls it, reports failures, returns the exit status.
 *
 * Imports only what a version or the list of commands needs: commands are loaded when they are called.
 */
import { existsSync, readFileSync, realpathSync } from "node:fs";

import { FormatError, UsageError } from "../errors.ts";
import { nearest } from "../messages/nearest.ts";
import { formatCountOf } from "../messages/numbers.ts";
import type { CommandIO, ListedCommand } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { programHelp } from "./help/program-help.ts";
import { ourNameOf } from "./other-names.ts";
import { reportError } from "./report.ts";
import { isHelp, showHelp } from "./help/show-help.ts";
import { createIO, openProcessTerminal, type Terminal } from "./terminal/terminal.ts";

/** Reads a string of package.json, which is two folders up both in the sources and in the build. */
function packageField(name: "version" | "description"): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as Record<typeof name, string>)[name];
}

/** Words that ask for the version: Node's is -v, other programs' is -V. */
const VERSION_WORDS: ReadonlySet<string> = new Set(["--version", "-v", "-V"]);

/** Finds the command that the first words name, the longest name first. */
function findCommand(commands: readonly ListedCommand[], words: readonly string[]): ListedCommand | null {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(" ");
    const command = commands.find((candidate) => candidate.name === name);
    if (command !== undefined && words.length >= length) return command;
  }
  return null;
}

/** The commands of a group: those whose names begin with a word and have another. */
function groupOf(commands: readonly ListedCommand[], word: string | undefined): readonly ListedCommand[] {
  return commands.filter(({ name }) => name.startsWith(`${word} `));
}

/** Explains a first word that is not a command. */
function unknownCommand(commands: readonly ListedCommand[], words: readonly string[]): UsageError {
  const [first = ""] = words;
  if (first.startsWith("-"))
    return new UsageError("usage/flag", `Cannot run "graft ${first}": it is a flag, expected a command`, {
      hint: "Write the command first, then its flags; see graft --help.",
    });
  const plain = words.filter((word) => !word.startsWith("-")).slice(0, 2);
  const names = commands.map((command) => command.name);
  const group = groupOf(commands, plain[0]).map((command) => command.name);
  const firsts = names.map((name) => name.split(" ")[0] ?? "");
  const match =
    nearest(plain.join(" "), names) ??
    (group.length > 0 ? group.join(" or ") : nearest(plain[0] ?? "", firsts));
  const ours = ourNameOf(plain[0] ?? "");
  let hint = "See graft --help for the commands.";
  if (ours !== null) hint = `It is called ${ours} here; see graft --help.`;
  else if (match !== null) hint = `The nearest command is ${match}; see graft --help.`;
  return new UsageError("usage/flag", `Cannot run "graft ${plain.join(" ")}": there is no such command`, {
    hint,
  });
}

/** @throws FormatError "format/file" when the folder that the program was started in has been deleted */
function requireWorkingFolder(): void {
  try {
    process.cwd();
  } catch (cause) {
    throw new FormatError(
      "format/file",
      "Cannot find the working folder: it was deleted, expected one that exists",
      { hint: "Change to a folder that exists.", cause },
    );
  }
}

/** Runs the command in the words and returns the exit status. */
async function dispatch(
  words: readonly string[],
  commands: readonly ListedCommand[],
  io: CommandIO,
): Promise<number> {
  const [first = "--help"] = words;
  if (first === "help") return await dispatch([...words.slice(1), "--help"], commands, io);
  // The flag has already been evaluated.
  if (first === "--json") return await dispatch(words.slice(1), commands, io);
  if (VERSION_WORDS.has(first)) {
    io.stdout(packageField("version"));
    io.emit({ event: "done", version: packageField("version") });
    return 0;
  }
  if (isHelp(first)) {
    const asked = words.filter((word) => !isHelp(word));
    if (asked.length > 0) return await dispatch([...asked, first], commands, io);
    return showHelp(programHelp(commands, `graft: ${packageField("description")}.`, io.width), io);
  }
  const command = findCommand(commands, words);
  if (command === null) {
    const group = groupOf(commands, first);
    const asksHelp = words.slice(1).every((word) => isHelp(word) || word === "--json");
    if (group.length === 0 || !asksHelp) throw unknownCommand(commands, words);
    return showHelp(
      programHelp(group, `graft ${first}: ${formatCountOf(group.length, "command")}.`, io.width),
      io,
    );
  }
  requireWorkingFolder();
  const [{ callCommand }, loaded] = await Promise.all([import("./call.ts"), command.load()]);
  return await callCommand(loaded, words.slice(command.name.split(" ").length), io);
}

/** Runs the program with the words after its name; returns the exit status: 0 done, 1 failed, 2 wrong usage, 129, 130 or 143 stopped. */
export async function main(
  argv: readonly string[],
  terminal?: Terminal,
  commands: readonly ListedCommand[] = COMMANDS,
): Promise<number> {
  using owned = terminal === undefined ? openProcessTerminal() : null;
  const plainFrom = argv.indexOf("--");
  const json = argv.slice(0, plainFrom < 0 ? argv.length : plainFrom).includes("--json");
  const io = createIO((terminal ?? owned)!, { json });
  try {
    return await dispatch(argv, commands, io);
  } catch (error) {
    return reportError(error, io);
  }
}

const entry = process.argv[1];
if (entry !== undefined && existsSync(entry) && realpathSync(entry) === import.meta.filename) {
  process.exitCode = await main(process.argv.slice(2));
}
