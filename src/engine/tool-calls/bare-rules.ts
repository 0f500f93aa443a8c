/**
 * @file Grammar rules of values in the form of Gemma's calls: objects have bare keys in their order, texts stand between
 * marks, and all else is as in JSON.
 */
import type { Place, Way } from "../grammar/rules/automaton.ts";
import { JsonRules } from "../grammar/rules/json-rules.ts";
import type { SchemaError } from "../grammar/schema/schema-keywords.ts";
import { SchemaRules } from "../grammar/schema/schema-rules.ts";
import { type ValueShape, type View, objectOf } from "../grammar/schema/shape.ts";
import { rawText } from "../grammar/schema/text-form.ts";
import { addObjects } from "./object-pairs.ts";
import { type CallRules, type SchemaRule, addMark } from "./tool-format.ts";

/** The rule of a value in this form; `quote` stands on both sides of a text. */
export function bareRule(quote: string, rules: CallRules): SchemaRule {
  return (book, schema, name) => {
    const mark: Way = (at) => addMark(book, at, quote, rules);
    const text = rawText(book, { open: mark, close: mark, mark: quote });
    return new BareRules(book, schema, name, { json: new TightRules(book), text }).whole();
  };
}

/** JSON without white space. */
class TightRules extends JsonRules {
  override space(from: Place): Place {
    return from;
  }
}

class BareRules extends SchemaRules {
  protected override literal(from: Place, value: unknown, view: View): Place {
    if (typeof value === "object" && value !== null) throw this.#cannot(view, "lists objects or arrays");
    return super.literal(from, value, view);
  }

  /** `{KEY:VALUE,…}` of the properties that are named, with a comma before every pair but the first that is there. */
  protected override object(from: Place, shape: ValueShape): Place {
    const { book } = this;
    const object = objectOf(shape);
    const properties = object?.properties.toSorted(([a], [b]) =>
      a.toLowerCase() < b.toLowerCase() ? -1 : 1,
    );
    const objects = object && properties ? [{ ...object, properties }] : [];
    const form = { objects, keys: /^[^\s:<},](?:[^:]*[^\s:])?$/, between: "," };
    const pairs = addObjects(book, book.text(from, "{"), form, ({ from: start, key, view }) =>
      book.call(book.text(start, `${key}:`), this.value(view)),
    );
    return book.text(pairs, "}");
  }

  protected override array(from: Place, shape: ValueShape, view: View): Place {
    if (shape.unique !== null) throw this.#cannot(view, "asks for unique items");
    return super.array(from, shape, view);
  }

  #cannot(view: View, found: string): SchemaError {
    return this.fault(view, `${found}, which cannot be enforced for calls of this model`, "Leave that out.");
  }
}
