/** @file JSON of objects whose members a schema describes, as rules over bytes. */
import type { Place } from "../rules/automaton.ts";
import type { JsonRules } from "../rules/json-rules.ts";
import { addOtherNames } from "./other-names.ts";
import { type ValueShape, type View, isNever, namesOf, othersOf, propertyOf } from "./shape.ts";

/**
 * Adds an object: first the properties that the schema names, in its order, then others if they are allowed.
 * `valueOf`: makes the rule of a value for a view.
 */
export function addMembers(
  json: JsonRules,
  from: Place,
  shape: ValueShape,
  valueOf: (view: View) => Place,
): Place {
  const { members } = shape;
  const { book } = json;
  const names = namesOf(shape);
  const patterns = [...new Set(members.flatMap(({ byPattern }) => byPattern.map(({ pattern }) => pattern)))];
  return json.inside(from, "{}", (inside) => {
    const { none, some } = addNamed(json, inside, shape, valueOf);
    const [other, loop] = [book.place(), book.place()];
    book.skip(some, loop);
    book.skip(none, other);
    book.skip(json.comma(loop), other);
    const isOpen = names.length + patterns.length === 0;
    const endOf = (found: ReadonlySet<string>): Place | null => {
      const view = othersOf(shape, found) ?? (isOpen ? [] : null);
      if (view === null || isNever(view)) return null;
      const name = book.place();
      book.call(json.colon(name), valueOf(view), loop);
      return name;
    };
    addOtherNames(json, other, { names, patterns }, endOf);
    const end = book.place();
    book.skip(none, end);
    book.skip(loop, end);
    return end;
  });
}

/** Adds the properties with names; returns the places behind none of them and behind one or more. */
function addNamed(
  json: JsonRules,
  from: Place,
  shape: ValueShape,
  valueOf: (view: View) => Place,
): { readonly none: Place; readonly some: Place } {
  const { book } = json;
  let [none, some] = [from, book.place()];
  for (const name of namesOf(shape)) {
    const view = propertyOf(shape, name);
    const [nextNone, nextSome] = [book.place(), book.place()];
    if (!shape.required.has(name)) {
      book.skip(none, nextNone);
      book.skip(some, nextSome);
    }
    if (!isNever(view)) {
      const pair = pairRule(json, JSON.stringify(name), valueOf(view));
      book.call(none, pair, nextSome);
      book.call(json.comma(some), pair, nextSome);
    }
    [none, some] = [nextNone, nextSome];
  }
  return { none, some };
}

function pairRule(json: JsonRules, key: string, value: Place): Place {
  const { book } = json;
  return book.rule(`pair ${value} ${key}`, (start) => book.call(json.colon(book.text(start, key)), value));
}
