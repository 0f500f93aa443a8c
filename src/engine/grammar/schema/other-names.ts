/** @file Names of properties that a schema does not list, distinguished by the patterns that they match. */
import { UsageError } from "../../../errors.ts";
import type { Place, RuleBook } from "../rules/automaton.ts";
import { type CodeRange, addCharacter, commonCodes, otherCodes } from "../rules/characters.ts";
import { followAll } from "../rules/common-rules.ts";
import type { JsonRules } from "../rules/json-rules.ts";
import { addPattern } from "../rules/pattern-rules.ts";

/** Characters of unlisted names: none that can be written in two ways. */
const NAME_CODES: readonly CodeRange[] = otherCodes([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]);

/** Most kinds of names that patterns may distinguish: each pattern doubles them, if one name can match all. */
const MAX_KINDS = 64;

/** The names and patterns that a schema mentions. */
interface KnownNames {
  readonly names: readonly string[];
  readonly patterns: readonly string[];
}

/**
 * Adds all names but the known ones. `endOf`: the place that a finished name leads to, by the patterns found in it; null: the
 * name is not allowed.
 * @throws UsageError "usage/grammar" for what is too large
 */
export function addOtherNames(
  json: JsonRules,
  start: Place,
  { names, patterns }: KnownNames,
  endOf: (found: ReadonlySet<string>) => Place | null,
): void {
  const { book } = json;
  const addAll = (): Place =>
    book.rule(`other name ${JSON.stringify(names)}`, (from) => addOthers(book, from, names));
  if (patterns.length === 0) {
    const end = endOf(new Set());
    if (end !== null) book.call(start, addAll(), end);
    return;
  }
  const rules = patterns.map((pattern) =>
    book.rule(`name ${pattern}`, (from) => addPattern(json, from, pattern)),
  );
  const ends = new Map<string, Place | null>();
  followAll(book, start, [addAll(), ...rules], {
    goesOn: ([name]) => name !== null,
    endOf: ([isName, ...areFound]) => {
      if (isName !== true) return null;
      const key = areFound.join();
      const found = new Set(patterns.filter((_, i) => areFound[i]));
      if (!ends.has(key)) ends.set(key, endOf(found));
      if (ends.size > MAX_KINDS) throw tooManyKinds();
      return ends.get(key) ?? null;
    },
  });
}

function tooManyKinds(): UsageError {
  const found = `patterns make more than ${MAX_KINDS} kinds of names`;
  return new UsageError("usage/grammar", `Cannot constrain a text to a grammar: ${found}`, {
    hint: "Use fewer patterns that can match the same name.",
  });
}

function addOthers(book: RuleBook, start: Place, names: readonly string[]): Place {
  const [end, rest] = [book.place(), book.place()];
  addCharacter(book, rest, NAME_CODES, rest);
  book.byte(rest, 0x22, 0x22, end);
  const apart = names.map((name) => Array.from(name));
  addApart(book, book.text(start, '"'), apart, { rest, end });
  return end;
}

/**
 * Adds the rest of a name that must be none of the given ones: it ends at `end`, or continues at `rest` once it differs from
 * them.
 */
function addApart(
  book: RuleBook,
  from: Place,
  names: readonly (readonly string[])[],
  leads: { readonly rest: Place; readonly end: Place },
): void {
  const byFirst = new Map<string, (readonly string[])[]>();
  for (const name of names) {
    const [first] = name;
    if (first !== undefined) byFirst.set(first, [...(byFirst.get(first) ?? []), name]);
  }
  if (names.every((name) => name.length > 0)) book.byte(from, 0x22, 0x22, leads.end);
  const codes = [...byFirst.keys()].map((sign): CodeRange => [sign.codePointAt(0)!, sign.codePointAt(0)!]);
  addCharacter(book, from, commonCodes(NAME_CODES, otherCodes(codes)), leads.rest);
  for (const [i, [, same]] of [...byFirst].entries()) {
    const next = book.place();
    addCharacter(book, from, commonCodes(NAME_CODES, [codes[i]!]), next);
    const shorter = same.map((name) => name.slice(1));
    addApart(book, next, shorter, leads);
  }
}
