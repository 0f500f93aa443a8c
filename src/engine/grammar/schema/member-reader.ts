/** @file Reads what a JSON schema says of the properties of objects, by their names and by patterns of these. */
import { PatternFault, patternMatcher } from "../rules/pattern-rules.ts";
import { encodeStep } from "./json-pointer.ts";
import { type Fields, SchemaError, requireFields } from "./schema-keywords.ts";
import type { Members, PatternMember, View } from "./shape.ts";

/** Patterns of names that one schema may have, wherever in it they are. */
const MAX_NAME_PATTERNS = 16;

export class MemberReader {
  /** Matchers by the pattern of names that they match. */
  readonly #matchers = new Map<string, PatternMember["hasMatch"]>();

  /** What a schema says of properties by their names, if it does. @throws SchemaError */
  membersOf(fields: Fields, path: string): readonly Members[] {
    const under = (key: string): [string, View][] =>
      Object.entries(requireFields(fields[key] ?? {}, `${path}/${key}`)).map(([name, schema]) => [
        name,
        [{ schema, path: `${path}/${key}/${encodeStep(name)}` }],
      ]);
    const properties = new Map(under("properties"));
    const patterns = under("patternProperties");
    const byPattern = patterns.map(([pattern, view]): PatternMember => ({
      pattern,
      view,
      hasMatch: this.#matcherOf(pattern, `${path}/patternProperties/${encodeStep(pattern)}`),
    }));
    const schema = fields["additionalProperties"];
    const additional = schema === undefined ? null : [{ schema, path: `${path}/additionalProperties` }];
    const saysNothing = properties.size === 0 && byPattern.length === 0 && additional === null;
    return saysNothing ? [] : [{ properties, byPattern, additional }];
  }

  #matcherOf(pattern: string, path: string): PatternMember["hasMatch"] {
    const known = this.#matchers.get(pattern);
    if (known) return known;
    if (this.#matchers.size === MAX_NAME_PATTERNS) {
      throw new SchemaError(path, `is one of more than ${MAX_NAME_PATTERNS} patterns of names`, "Use fewer.");
    }
    try {
      const matcher = patternMatcher(pattern);
      this.#matchers.set(pattern, matcher);
      return matcher;
    } catch (error) {
      if (!(error instanceof PatternFault)) throw error;
      throw new SchemaError(path, `is a pattern with ${error.message}`, "Use a different pattern.");
    }
  }
}

/** Properties of some names, whatever they are, and no others. */
export function onlyNames(names: readonly string[], path: string): Members {
  const properties = new Map(names.map((name): [string, View] => [name, []]));
  return { properties, byPattern: [], additional: [{ schema: false, path }] };
}
