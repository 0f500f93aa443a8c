/** @file Reads what a JSON schema says about the properties of objects, by name and by patterns of names. */
import { PatternFault, patternMatcher } from "../rules/pattern-rules.ts";
import { encodeStep } from "./json-pointer.ts";
import { type Fields, SchemaError, requireFields } from "./schema-keywords.ts";
import type { Members, PatternMember, View } from "./shape.ts";

/** Most patterns of names in one schema, at all levels together. */
const MAX_NAME_PATTERNS = 16;

export class MemberReader {
  /** Matchers by their pattern. */
  readonly #matchers = new Map<string, PatternMember["hasMatch"]>();

  /** What a schema says about properties by name, if anything. @throws SchemaError */
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

/** Properties of the given names, with any value, and no others. */
export function onlyNames(names: readonly string[], path: string): Members {
  const properties = new Map(names.map((name): [string, View] => [name, []]));
  return { properties, byPattern: [], additional: [{ schema: false, path }] };
}
