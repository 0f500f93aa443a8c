/**
 * @file The own options of methods, optimizers and objectives, as flags beside those of all runs; the chosen one's schema checks them.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import type { ValueForm } from "../../messages/expected.ts";
import { type Problem, findProblems } from "../../messages/problems.ts";

/** A method, optimizer or objective with options of its own. */
export interface Kind {
  readonly name: string;
  readonly options: z.ZodType;
}

function fieldsOf({ options }: Kind): Readonly<Record<string, z.ZodType>> {
  return (options as z.ZodObject<Record<string, z.ZodType>>).shape;
}

/** The names of its options. */
export function keysOf(kind: Kind): string[] {
  return Object.keys(fieldsOf(kind));
}

/** An option, and the kinds that have it. */
interface OwnedOption {
  readonly schema: z.ZodType;
  /** Its meaning and default, in words. */
  readonly text: string;
  readonly owners: string[];
}

/**
 * The options of all methods (or optimizers, or objectives) as flags: optional, so that given values can be told from defaults. If two
 * give one name different meanings, the flag takes the values of both, and the chosen one's schema checks them.
 */
export function optionFlags(kinds: readonly Kind[]): Record<string, z.ZodType> {
  const flags = new Map<string, OwnedOption[]>();
  for (const kind of kinds) {
    for (const [key, schema] of Object.entries(fieldsOf(kind))) {
      const text = describe(key, schema);
      const known = flags.get(key) ?? [];
      const same = known.find((option) => option.text === text);
      if (same) same.owners.push(kind.name);
      else flags.set(key, [...known, { schema: withoutDefault(schema), text, owners: [kind.name] }]);
    }
  }
  return Object.fromEntries(
    [...flags].map(([key, options]) => {
      const [first, ...others] = options.map(({ schema }) => schema);
      const schema = others.length === 0 ? first : z.union([first!, ...others]);
      const texts = options.map(({ owners, text }) => `${owners.join(", ")}: ${text}`);
      return [key, schema!.optional().describe(texts.join(". "))];
    }),
  );
}

function withoutDefault(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : schema;
}

function describe(key: string, schema: z.ZodType): string {
  const value: unknown = schema instanceof z.ZodDefault ? schema.parse(undefined) : null;
  return `${schema.description ?? key}${value === null ? "" : `; default ${JSON.stringify(value)}`}`;
}

/** The choice of a method, optimizer or objective by name. */
interface Choice {
  /** What is chosen: "method". */
  readonly what: string;
  /** As given; an unknown name is reported elsewhere. */
  readonly name: unknown;
  readonly kinds: readonly Kind[];
}

/** Finds invalid options of the chosen kind, and options that only other kinds have. */
export function findOwnProblems(
  { what, name, kinds }: Choice,
  given: Readonly<Record<string, unknown>>,
  form: ValueForm,
): Problem[] {
  const chosen = kinds.find((one) => one.name === name);
  if (chosen === undefined) return [];
  const own = keysOf(chosen);
  const values = Object.fromEntries(
    own.filter((key) => given[key] !== undefined).map((key) => [key, given[key]]),
  );
  const foreign = [...new Set(kinds.flatMap(keysOf))].filter(
    (key) => given[key] !== undefined && !own.includes(key),
  );
  return [
    ...findProblems(chosen.options, values, form),
    ...foreign.map((key) => {
      const owners = kinds.filter((one) => keysOf(one).includes(key)).map((one) => one.name);
      return { path: [key], text: `is for ${what} ${owners.join(", ")}, not for ${chosen.name}` };
    }),
  ];
}

/** The options of the chosen kind. @throws UsageError "usage/flag" for an option of another. */
export function ownOptions(
  kind: string,
  name: string,
  kinds: readonly Kind[],
  options: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const given = [...new Set(kinds.flatMap(keysOf))].filter((key) => options[key] !== undefined);
  const own = kinds.flatMap((k) => (k.name === name ? keysOf(k) : []));
  const foreign = given.filter((key) => !own.includes(key));
  if (foreign.length > 0) {
    const owners = kinds.filter((k) => keysOf(k).some((key) => foreign.includes(key)));
    throw new UsageError(
      "usage/flag",
      `Cannot use ${foreign.join(", ")} with ${kind} "${name}": expected ${own.length > 0 ? own.join(", ") : "no options"}`,
      { hint: `Choose ${kind} ${owners.map((k) => k.name).join(", ")} for it, or leave it out.` },
    );
  }
  return Object.fromEntries(given.map((key) => [key, options[key]]));
}
