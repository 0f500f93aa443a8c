/** @file The words of a command line, sorted into texts of flags and plain arguments. Collects problems, never throws. */
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
  readonly json: boolean;
  readonly problems: readonly string[];
  /** How to mend some of the problems. */
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
  const texts = new Map<string, string[]>();
  const withoutValue = new Set<string>();
  const problems: string[] = [];
  const hints: string[] = [];
  const plain: string[] = [];
  const rest = [...words];
  const configPaths: string[] = [];
  let [help, json] = [false, false];
  const passedOver: string[] = [];

  const add = (key: string, text: string): void => addTexts(texts, key, [text]);
  const takeValue = (name: string, inline: string | undefined): string | null => {
    const value = inline ?? (rest.length > 0 && !startsFlag(rest[0] ?? "") ? rest.shift() : undefined);
    // An empty one is what a script gives whose variable is not set: no folder, adapter or key of nobody is meant.
    if (value !== undefined && value !== "") return value;
    problems.push(`--${name} ${value === undefined ? "has no value" : "is empty, expected a value"}`);
    return null;
  };

  /** Tells of a word that is no flag, and passes over its value. */
  const refuse = (typed: string, name: string, inline: string | undefined): void => {
    const { problem, hint } = explainUnknown(name, flags, namesOf(flags), "flag", (known) => `--${known}`);
    const behind = typed.startsWith("--") ? "" : "; an argument that begins with - goes behind a word --";
    problems.push(`${typed} ${problem}${behind}`);
    if (hint !== null) hints.push(hint);
    if (inline === undefined && !startsFlag(rest[0] ?? "--")) passedOver.push(rest.shift() ?? "");
  };

  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") {
      plain.push(...rest.splice(0));
      break;
    }
    const long = SHORT_FORMS.get(word) ?? word;
    if (!long.startsWith("--")) {
      // What holds more than a name, such as "-a + b", is no flag that was mistyped.
      const [short, inline] = splitOnce(long);
      if (/^-[A-Za-z][\w.-]*$/.test(short)) refuse(short, short.slice(1), inline);
      else plain.push(long);
      continue;
    }
    const [name, inline] = splitOnce(long.slice(2));
    const flag = flags.find((candidate) => candidate.name === name);
    const negated = flags.find((candidate) => isSwitch(candidate) && `no-${candidate.name}` === name);
    if (flag !== undefined && isSwitch(flag)) {
      const next = rest[0] ?? "";
      const takesNext =
        inline === undefined && (readSwitch(next) !== undefined || flag.choices.includes(next));
      add(flag.key, inline ?? (takesNext ? (rest.shift() ?? "") : "on"));
    } else if (flag !== undefined) {
      const value = takeValue(name, inline);
      if (value === null) withoutValue.add(flag.key);
      else add(flag.key, value);
    } else if (negated !== undefined) {
      if (inline !== undefined) problems.push(`--${name} takes no value`);
      add(negated.key, "off");
    } else if (name === "config")
      configPaths.push(...[takeValue(name, inline)].filter((path) => path !== null));
    else if (name === "json" && inline === undefined) json = true;
    else if (name === "help" && inline === undefined) help = true;
    else {
      refuse(`--${name}`, name, inline);
    }
  }

  for (const { key, name, element } of flags) {
    if (element === null) problems.push(...tellRepeated(name, texts.get(key) ?? []));
  }
  problems.push(...tellRepeated("config", configPaths));

  // What stood behind an unknown switch may have been an argument: it is not called missing as well.
  const unfilled = positionals.filter((key) => !texts.has(key)).length - plain.length;
  const given = [...plain, ...passedOver.slice(0, Math.max(0, unfilled))];
  problems.push(...placeArguments(given, positionals, flags, texts));
  return { texts, withoutValue, configPath: configPaths[0] ?? null, help, json, problems, hints };
}

/** Puts plain words to the texts of the settings that stand in their places, and tells of those that have no place. */
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
  return [...problems, ...left.map((word) => `argument "${word}" is one too many`)];
}

function addTexts(texts: Map<string, string[]>, key: string, added: readonly string[]): void {
  if (added.length > 0) texts.set(key, [...(texts.get(key) ?? []), ...added]);
}

/** The problem of a flag that takes one value and was given more: which one is meant, nobody can tell. */
function tellRepeated(name: string, texts: readonly string[]): string[] {
  if (texts.length < 2) return [];
  const times = texts.length === 2 ? "twice" : `${texts.length} times`;
  const shown = texts.map((text) => JSON.stringify(text));
  return [
    `--${name} is given ${times}: ${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}, expected one value`,
  ];
}

function splitOnce(word: string): [string, string | undefined] {
  const at = word.indexOf("=");
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

/** Names that a flag can have on the command line, the "no-" forms of switches among them. */
function namesOf(flags: readonly Flag[]): readonly string[] {
  return [
    ...flags.map((flag) => flag.name),
    ...flags.filter(isSwitch).map((flag) => `no-${flag.name}`),
    ...SHARED_FLAGS.map((flag) => flag.name),
  ];
}
