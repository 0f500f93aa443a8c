/** @file Sorts the words of a command line into texts of flags and positional arguments. Collects problems, never throws. */
import { readSwitch } from "./flag-value.ts";
import type { Flag } from "./flags.ts";
import { explainUnknown } from "./renamed-flags.ts";

/** A command line, sorted. */
export interface ParsedArgv {
  /** Key of the schema → texts given for it, in order. */
  readonly texts: ReadonlyMap<string, readonly string[]>;
  /** Keys whose flag was given without a value, or with an empty one. */
  readonly withoutValue: ReadonlySet<string>;
  readonly configPath: string | null;
  readonly help: boolean;
  readonly problems: readonly string[];
  /** How to fix some of the problems. */
  readonly hints: readonly string[];
}

/** Flags that every command has. */
export const SHARED_FLAGS: readonly { name: string; form: string; description: string }[] = [
  {
    name: "config",
    form: "-c, --config FILE",
    description: "Read settings from a YAML or JSON file; flags take precedence",
  },
  { name: "json", form: "    --json", description: "Write one JSON object per line instead of text" },
  { name: "help", form: "-h, --help", description: "Show this help" },
];

const SHORT_FORMS: ReadonlyMap<string, string> = new Map([
  ["-h", "--help"],
  ["-c", "--config"],
]);

function isSwitch(flag: Flag): boolean {
  return flag.kinds.includes("boolean");
}

/** Tells whether a word can only be a flag; "-1" and "-" are values. */
function startsFlag(word: string): boolean {
  return word.startsWith("--") || SHORT_FORMS.has(word);
}

/** Sorts the words after the command's name. */
export function parseArgv(
  words: readonly string[],
  flags: readonly Flag[],
  positionals: readonly string[],
): ParsedArgv {
  return new ArgvReader(words, flags).read(positionals);
}

/** Reads the words of a command line from left to right. */
class ArgvReader {
  readonly #flags: readonly Flag[];
  /** Words still to be read. */
  readonly #rest: string[];
  readonly #texts = new Map<string, string[]>();
  readonly #withoutValue = new Set<string>();
  readonly #problems: string[] = [];
  readonly #hints: string[] = [];
  readonly #plain: string[] = [];
  readonly #configPaths: string[] = [];
  /** Words after unknown flags. */
  readonly #passedOver: string[] = [];
  #help = false;

  constructor(words: readonly string[], flags: readonly Flag[]) {
    this.#rest = [...words];
    this.#flags = flags;
  }

  read(positionals: readonly string[]): ParsedArgv {
    for (let word = this.#rest.shift(); word !== undefined; word = this.#rest.shift()) {
      const long = SHORT_FORMS.get(word) ?? word;
      if (word === "--") this.#plain.push(...this.#rest.splice(0));
      else if (long.startsWith("--")) this.#readFlag(...splitOnce(long.slice(2)));
      else this.#readPlain(long);
    }
    const [texts, problems] = [this.#texts, this.#problems];
    for (const flag of this.#flags) {
      if (flag.element === null) problems.push(...tellRepeated(flag, texts.get(flag.key) ?? []));
    }
    problems.push(...tellRepeated({ name: "config", isSecret: false }, this.#configPaths));
    // A word after an unknown switch may have been an argument, so that argument is not also reported as missing.
    const unfilled = positionals.filter((key) => !texts.has(key)).length - this.#plain.length;
    const given = [...this.#plain, ...this.#passedOver.slice(0, Math.max(0, unfilled))];
    problems.push(...placeArguments(given, positionals, this.#flags, texts));
    if (positionals.length === 0 && this.#plain.length > 0) this.#hints.push(...tellFlagsFor(this.#flags));
    return {
      texts,
      withoutValue: this.#withoutValue,
      configPath: this.#configPaths[0] ?? null,
      help: this.#help,
      problems,
      hints: this.#hints,
    };
  }

  /** Reads a word that is not a known flag; one that is more than a name, such as "-a + b", cannot be a mistyped flag. */
  #readPlain(word: string): void {
    const [short, inline] = splitOnce(word);
    if (/^-[A-Za-z][\w.-]*$/.test(short)) this.#refuse(short, short.slice(1), inline);
    else this.#plain.push(word);
  }

  #readFlag(name: string, inline: string | undefined): void {
    const flag = this.#flags.find((candidate) => candidate.name === name);
    const negated = this.#flags.find((candidate) => isSwitch(candidate) && `no-${candidate.name}` === name);
    if (flag !== undefined && isSwitch(flag)) this.#add(flag, inline ?? this.#takeSwitch(flag));
    else if (flag !== undefined) {
      const value = this.#takeValue(name, inline);
      if (value === null) this.#withoutValue.add(flag.key);
      else this.#add(flag, value);
    } else if (negated !== undefined) {
      if (inline !== undefined) this.#problems.push(`--${name} takes no value`);
      this.#add(negated, "off");
    } else if (name === "config") {
      const path = this.#takeValue(name, inline);
      if (path !== null) this.#configPaths.push(path);
    } else if (name === "help" || name === "json") {
      if (inline !== undefined) this.#problems.push(`--${name} takes no value`);
      // `main` has already handled --json.
      this.#help ||= name === "help" && inline === undefined;
    } else this.#refuse(`--${name}`, name, inline);
  }

  #add({ key }: Flag, text: string): void {
    addTexts(this.#texts, key, [text]);
  }

  /** Returns the value of a switch: the next word if it is a valid one, else "on". */
  #takeSwitch({ choices }: Flag): string {
    const next = this.#rest[0] ?? "";
    const isMeant = readSwitch(next) !== undefined || choices.includes(next);
    return isMeant ? (this.#rest.shift() ?? "") : "on";
  }

  #takeValue(name: string, inline: string | undefined): string | null {
    const hasNext = this.#rest.length > 0 && !startsFlag(this.#rest[0] ?? "");
    const value = inline ?? (hasNext ? this.#rest.shift() : undefined);
    // An empty value mostly comes from a script whose variable is unset; nobody means it as a folder, adapter or key.
    if (value !== undefined && value !== "") return value;
    this.#problems.push(`--${name} ${value === undefined ? "has no value" : "is empty, expected a value"}`);
    return null;
  }

  /** Reports an unknown flag, and skips its value. */
  #refuse(typed: string, name: string, inline: string | undefined): void {
    const flags = this.#flags;
    const { problem, hint } = explainUnknown(name, flags, {
      what: "flag",
      names: namesOf(flags),
      write: (known) => `--${known}`,
    });
    const behind = typed.startsWith("--") ? "" : "; put arguments that begin with - after --";
    this.#problems.push(`${typed} ${problem}${behind}`);
    if (hint !== null) this.#hints.push(hint);
    if (inline === undefined && !startsFlag(this.#rest[0] ?? "--")) {
      this.#passedOver.push(this.#rest.shift() ?? "");
    }
  }
}

/** Assigns words to the positional settings, and reports surplus words. */
function placeArguments(
  words: readonly string[],
  positionals: readonly string[],
  flags: readonly Flag[],
  texts: Map<string, string[]>,
): string[] {
  const left = [...words];
  const problems: string[] = [];
  for (const [index, key] of positionals.entries()) {
    const flag = flags.find((candidate) => candidate.key === key);
    const takesRest = index === positionals.length - 1 && flag !== undefined && flag.element !== null;
    const own = left.splice(0, takesRest ? left.length : 1);
    if (takesRest || !texts.has(key)) addTexts(texts, key, own);
    else problems.push(...own.map((word) => `argument "${word}" and --${flag?.name} are the same setting`));
  }
  return [...problems, ...left.map((word) => `unexpected argument "${word}"`)];
}

/** Names the flags for what other tools take as an argument: `serve MODEL`, `train DATA`, `generate PROMPT`. */
function tellFlagsFor(flags: readonly Flag[]): string[] {
  const names = ["model", "data", "prompt"].filter((name) => flags.some((flag) => flag.name === name));
  return names.length === 0 ? [] : [`Name its flag: ${names.map((name) => `--${name}`).join(" or ")}.`];
}

function addTexts(texts: Map<string, string[]>, key: string, added: readonly string[]): void {
  if (added.length > 0) texts.set(key, [...(texts.get(key) ?? []), ...added]);
}

/** Reports a flag that takes one value but was given several: it is unclear which one is meant. */
function tellRepeated(
  { name, isSecret }: Pick<Flag, "name" | "isSecret">,
  texts: readonly string[],
): string[] {
  if (texts.length < 2) return [];
  const times = texts.length === 2 ? "twice" : `${texts.length} times`;
  const quoted = texts.map((text) => JSON.stringify(text));
  const shown = isSecret ? "" : `: ${quoted.slice(0, -1).join(", ")} and ${quoted.at(-1)}`;
  return [`--${name} is given ${times}${shown}, expected one value`];
}

function splitOnce(word: string): [string, string | undefined] {
  const at = word.indexOf("=");
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

/** Names that a flag can have on the command line, including the "no-" forms of switches. */
function namesOf(flags: readonly Flag[]): readonly string[] {
  return [
    ...flags.map((flag) => flag.name),
    ...flags.filter(isSwitch).map((flag) => `no-${flag.name}`),
    ...SHARED_FLAGS.map((flag) => flag.name),
  ];
}
