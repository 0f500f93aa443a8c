/** @file Help texts, made from the schemas of the commands. */
import { SHARED_FLAGS } from "./argv.ts";
import type { Command } from "./command.ts";
import { flagsOf, type Flag, type FlagKind } from "./flags.ts";
import { wrap } from "./wrap.ts";

const WIDTH = 100;
const MAX_LEFT = 34;

/** A row of a table: what is typed, and what it means. */
type Row = readonly [left: string, right: string];

/** Sets rows in two columns; a left side too long for its column gets a line of its own. */
function table(rows: readonly Row[]): string[] {
  const fitting = rows.map(([left]) => left.length).filter((length) => length <= MAX_LEFT);
  const column = Math.max(0, ...fitting);
  return rows.flatMap(([left, right]) => {
    const lines = right === "" ? [] : wrap(right, WIDTH - column - 4);
    const own = left.length > column || lines.length === 0 ? [`  ${left}`] : [];
    const rest = lines.map(
      (line, i) => `  ${(i === 0 && own.length === 0 ? left : "").padEnd(column)}  ${line}`,
    );
    return [...own, ...rest];
  });
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
/** Choices longer than this go into the description. */
const MAX_CHOICES_LENGTH = 24;

function typeWord({ kinds, choices }: Pick<Flag, "kinds" | "choices">): string {
  const joined = choices.join("|");
  const words = kinds.map((kind) =>
    kind === "enum" ? (joined.length > MAX_CHOICES_LENGTH ? "CHOICE" : joined) : KIND_WORDS[kind],
  );
  return words.filter((word) => word !== "").join("|");
}

function valueWord(flag: Flag): string {
  const own = typeWord(flag);
  if (flag.element === null || flag.element.isWhole) return own;
  const list = `${typeWord(flag.element)},...`;
  return own === "" ? list : `${own}|${list}`;
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
  return [flag.description, notes.length === 0 ? "" : `(${notes.join("; ")})`].filter(Boolean).join(" ");
}

/** Writes how an argument stands in the usage line: brackets when it may be left out. */
function argumentForm(flag: Flag): string {
  const word = flag.name.toUpperCase() + (flag.element === null ? "" : "...");
  return flag.isRequired ? word : `[${word}]`;
}

/** Writes the help of one command. */
export function commandHelp(command: Command): string {
  const flags = flagsOf(command);
  const plain = command.positionals.flatMap((key) => flags.filter((flag) => flag.key === key));
  const named = flags.filter((flag) => !command.positionals.includes(flag.key));
  const lines = wrap(`${command.summary}.`, WIDTH);
  lines.push("", `Usage: ${["graft", command.name, ...plain.map(argumentForm), "[flags]"].join(" ")}`);
  if (plain.length > 0) {
    lines.push("", "Arguments:", ...table(plain.map((flag) => [flag.name.toUpperCase(), meaning(flag)])));
  }
  if (named.length > 0)
    lines.push("", "Flags:", ...table(named.map((flag) => [formOf(flag), meaning(flag)])));
  // Words that are handed on are no flags of graft.
  if (command.takesAllWords) return lines.join("\n");
  lines.push(
    "",
    "Flags of every command:",
    ...table(SHARED_FLAGS.map((flag) => [flag.form, flag.description])),
  );
  return lines.join("\n");
}

/** Writes the help of the whole program, or of one group of commands. */
export function programHelp(commands: readonly Command[], summary: string): string {
  return [
    ...wrap(summary, WIDTH),
    "",
    "Usage: graft COMMAND [arguments] [flags]",
    "",
    "Commands:",
    ...table(commands.map((command) => [command.name, command.summary])),
    "",
    "graft COMMAND --help shows the flags of a command; graft --version shows the version.",
  ].join("\n");
}
