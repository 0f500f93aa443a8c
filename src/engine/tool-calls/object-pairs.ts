/** @file Rules of objects of which a form of calls writes the named properties alone, in an order of its own. */
import type { Place, RuleBook } from "../grammar/rules/automaton.ts";
import { either } from "../grammar/rules/json-rules.ts";
import { SchemaError } from "../grammar/schema/schema-keywords.ts";
import type { ObjectShape, View } from "../grammar/schema/shape.ts";

/** How objects are written. */
export interface PairForm {
  /** Names that readers find again. */
  readonly keys: RegExp;
  /** What stands before all pairs but the first. */
  readonly between: string;
}

/** A pair that is to be added. */
interface NextPair {
  readonly from: Place;
  readonly key: string;
  readonly view: View;
}

/** Adds the pairs of one of some objects. @throws SchemaError for a name that cannot be written */
export function addObjects(
  book: RuleBook,
  from: Place,
  { objects, ...form }: PairForm & { readonly objects: readonly ObjectShape[] },
  addPair: (pair: NextPair) => Place,
): Place {
  const ways = objects.map((object) => (at: Place) => addPairs(book, at, { ...form, ...object }, addPair));
  return either(book, from, ways);
}

function addPairs(
  book: RuleBook,
  from: Place,
  { properties, required, keys, between }: PairForm & ObjectShape,
  addPair: (pair: NextPair) => Place,
): Place {
  // Where nothing has been written, and where something has.
  let [bare, more] = [from, book.place()];
  for (const [key, view] of properties) {
    if (!keys.test(key)) throw unwritable(key, view);
    const start = book.place();
    book.skip(bare, start);
    book.skip(book.text(more, between), start);
    const [nothing, something] = [book.place(), book.place()];
    book.skip(addPair({ from: start, key, view }), something);
    if (!required.has(key)) {
      book.skip(bare, nothing);
      book.skip(more, something);
    }
    [bare, more] = [nothing, something];
  }
  const end = book.place();
  book.skip(bare, end);
  book.skip(more, end);
  return end;
}

function unwritable(key: string, view: View): SchemaError {
  return new SchemaError(
    view.at(-1)?.path ?? "/required",
    `names the property ${JSON.stringify(key)}, which cannot be written in calls of this model`,
    "Use letters, digits and underscores.",
  );
}
