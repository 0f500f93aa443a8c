/** @file Makes the help of a command from its schema. */
import type { z } from "zod";

import {
  COMMAND_OR_PATH_FORMAT,
  NAME_OR_PATH_FORMAT,
  PATH_FORMAT,
  SECRET_URL_FORMAT,
  SIZE_FORMAT,
  URL_FORMAT,
} from "../../messages/expected.ts";
import { kebabCase } from "../../messages/setting-names.ts";
import { keysOf } from "../../train/settings/own-options.ts";
import { SHARED_FLAGS } from "../flags/argv.ts";
import type { Chooser, Command } from "../command.ts";
import { flagsOf, type Flag, type FlagKind } from "../flags/flags.ts";
import { type Row, table, wrapCommand } from "./help-table.ts";
import { wrap } from "../terminal/wrap.ts";

interface HelpOptions {
  /** Line width in characters. */
  readonly width: number;
  /** Key of a chooser → the chosen kind. */
  readonly chosen?: ReadonlyMap<string, string>;
}

const KIND_WORDS: Readonly<Record<FlagKind, string>> = {
  number: "NUMBER",
  integer: "INTEGER",
  string: "TEXT",
  boolean: "on|off",
  enum: "",
  array: "",
  yaml: "YAML",
};
/** Placeholders for texts of each format. */
const FORMAT_WORDS: ReadonlyMap<string, string> = new Map([
  [PATH_FORMAT, "PATH"],
  [NAME_OR_PATH_FORMAT, "NAME|PATH"],
  [COMMAND_OR_PATH_FORMAT, "PATH|COMMAND"],
  [SIZE_FORMAT, "SIZE"],
  [URL_FORMAT, "URL"],
  [SECRET_URL_FORMAT, "URL"],
]);
/** Lists of choices longer than this are put into the description. */
const MAX_CHOICES_LENGTH = 24;

function typeWord({ kinds, choices, format }: Pick<Flag, "kinds" | "choices" | "format">): string {
  const joined = choices.join("|");
  const words = kinds.map((kind) => {
    if (kind === "enum") return joined.length > MAX_CHOICES_LENGTH ? "CHOICE" : joined;
    return (kind === "string" && FORMAT_WORDS.get(format ?? "")) || KIND_WORDS[kind];
  });
  return words.filter((word) => word !== "").join("|");
}

function valueWord(flag: Flag): string {
  const own = typeWord(flag);
  if (flag.element === null || flag.element.isWhole) return own;
  const each = typeWord(flag.element);
  return own === "" || own === each ? `${each},...` : `${own}|${each},...`;
}

function formOf(flag: Flag): string {
  if (flag.kinds.length === 1 && flag.kinds[0] === "boolean") return `    --[no-]${flag.name}`;
  return `    --${flag.name} ${valueWord(flag)}`;
}

function showDefault(value: unknown): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(String).join(",");
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
}

function meaning(flag: Flag): string {
  const notes: string[] = [];
  const choices = flag.choices.length > 0 ? flag.choices : (flag.element?.choices ?? []);
  if (choices.join("|").length > MAX_CHOICES_LENGTH) notes.push(`one of ${choices.join(", ")}`);
  if (flag.element?.isWhole === true) notes.push("may be repeated");
  if (flag.minimum !== null && flag.maximum !== null) notes.push(`${flag.minimum} to ${flag.maximum}`);
  if (flag.isRequired) notes.push("required");
  else if (flag.defaultValue !== undefined && flag.defaultValue !== null && flag.defaultValue !== "") {
    notes.push(`default ${showDefault(flag.defaultValue)}`);
  }
  // A description such as "svd: rank of the result" begins with a name, whose case must stay.
  const { description: text } = flag;
  const description = /^[\w-]+[,:]/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return [description, notes.length === 0 ? "" : `(${notes.join("; ")})`].filter(Boolean).join(" ");
}

/** The form of an argument in the usage line: in brackets if it is optional. */
function argumentForm(flag: Flag): string {
  const word = flag.name.toUpperCase() + (flag.element === null ? "" : "...");
  return flag.isRequired ? word : `[${word}]`;
}

/** Writes the help of one command. */
export function commandHelp(command: Command, { width, chosen = new Map() }: HelpOptions): string {
  const { positionals, groups = {}, choosers = [] } = command;
  const flags = flagsOf(command);
  const find = (keys: readonly string[]): Flag[] =>
    keys.flatMap((key) => flags.find((flag) => flag.key === key) ?? []);
  const section = (title: string, own: readonly Flag[]): string[] =>
    own.length === 0
      ? []
      : [
          "",
          `${title.charAt(0).toUpperCase()}${title.slice(1)}:`,
          ...table(
            own.map((flag) => [formOf(flag), meaning(flag)]),
            width,
          ),
        ];
  const plain = find(positionals);
  const told = new Set([
    ...positionals,
    ...Object.values(groups).flat(),
    ...choosers.flatMap(({ kinds }) => kinds.flatMap(keysOf)),
  ]);
  const others = flags.filter(({ key }) => !told.has(key));
  const lines = [
    ...wrap(`${command.summary}.`, width),
    "",
    ...wrap(`Usage: ${["graft", command.name, ...plain.map(argumentForm), "[flags]"].join(" ")}`, width),
    "",
    "Example:",
    ...wrapCommand(command.example, width),
  ];
  if (plain.length > 0) {
    const rows = plain.map((flag): Row => [flag.name.toUpperCase(), meaning(flag)]);
    lines.push("", "Arguments:", ...table(rows, width));
  }
  for (const [title, keys] of Object.entries(groups)) lines.push(...section(title, find(keys)));
  lines.push(...section(told.size > plain.length ? "Other flags" : "Flags", others));
  lines.push(...optionsHelp(command, choosers, chosen, width));
  // Words that are passed on are not flags of graft.
  if (command.takesAllWords) return lines.join("\n");
  const shared = SHARED_FLAGS.map((flag): Row => [flag.form, flag.description]);
  return [...lines, "", "Flags of every command:", ...table(shared, width)].join("\n");
}

/** The options of the chosen kinds; for the others, how to see them. */
function optionsHelp(
  command: Command,
  choosers: readonly Chooser[],
  chosen: ReadonlyMap<string, string>,
  width: number,
): string[] {
  const lines: string[] = [];
  const rows: Row[] = [];
  for (const { key, kinds } of choosers) {
    const name = kebabCase(key);
    const kind = kinds.find((each) => each.name === chosen.get(key));
    if (kind === undefined) {
      const withOptions = kinds.filter((each) => keysOf(each).length > 0);
      const names = withOptions.map((each) => each.name).join(", ");
      rows.push([`    --${name} NAME --help`, `Also the options of one ${name}: ${names}`]);
      continue;
    }
    const flags = flagsOf({ options: kind.options as z.ZodObject });
    const title = `Options of ${name} ${kind.name}`;
    if (flags.length === 0) lines.push("", `${title}: none`);
    else {
      const own = flags.map((flag): Row => [formOf(flag), meaning(flag)]);
      lines.push("", `${title}:`, ...table(own, width));
    }
  }
  if (rows.length === 0) return lines;
  return [...lines, "", `To see more, graft ${command.name} with:`, ...table(rows, width)];
}
