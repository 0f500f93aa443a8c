/** @file Reads the keywords of a JSON schema one by one. An invalid value of a keyword is refused with its path. */
import { rounded } from "../../../data/formats/long-integer.ts";
import { UsageError } from "../../../errors.ts";
import { NO_BOUNDS } from "../rules/number-range.ts";
import { ANYTHING, JSON_TYPES, type JsonType, type ValueShape, type LocatedSchema } from "./shape.ts";

/** A schema that is not supported; `path` is a JSON pointer to the place. */
export class SchemaError extends UsageError {
  readonly path: string;

  constructor(path: string, found: string, hint: string) {
    super(
      "usage/grammar",
      `Cannot constrain a text to the JSON schema: ${path === "" ? "/" : path} ${found}`,
      {
        hint,
      },
    );
    this.path = path;
  }
}

/** A schema that is an object. */
export type Fields = Readonly<Record<string, unknown>>;

/** @throws SchemaError for a schema that is no object, as all functions that read a keyword do for an invalid value */
export function requireFields(value: unknown, path: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new SchemaError(path, `is ${JSON.stringify(value)?.slice(0, 40)}`, "Give an object.");
}

/** Reads a list of strings. @throws SchemaError */
export function textsOf(value: unknown, path: string): string[] {
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
  throw new SchemaError(path, `is ${JSON.stringify(value)?.slice(0, 40)}`, "Give a list of strings.");
}

/** Reads the schemas in a list such as `anyOf`, each with its path; an absent list is empty. @throws SchemaError */
export function partsOf(fields: Fields, key: string, path: string): LocatedSchema[] {
  const parts = fields[key] ?? [];
  if (!Array.isArray(parts) || (fields[key] !== undefined && parts.length === 0)) {
    throw new SchemaError(`${path}/${key}`, "is not a list of schemas", "Give at least one.");
  }
  return parts.map((schema: unknown, i) => ({ schema, path: `${path}/${key}/${i}` }));
}

/** Reads the types that `type` allows, by default all. @throws SchemaError */
export function typesOf(fields: Fields, path: string): ReadonlySet<JsonType> {
  const type = fields["type"];
  if (type === undefined) return ANYTHING.types;
  const types = textsOf(typeof type === "string" ? [type] : type, `${path}/type`);
  const unknown = types.find((each) => !(JSON_TYPES as readonly string[]).includes(each));
  if (unknown === undefined) return new Set(types as JsonType[]);
  throw new SchemaError(
    `${path}/type`,
    `is ${JSON.stringify(unknown)}`,
    `Choose from ${JSON_TYPES.join(", ")}.`,
  );
}

/** Reads the values that `enum` and `const` allow; null: both are absent. @throws SchemaError */
export function literalsOf(fields: Fields, path: string): readonly unknown[] | null {
  const { enum: values, const: value } = fields;
  if (values !== undefined && !Array.isArray(values))
    throw new SchemaError(`${path}/enum`, "is not a list", "Give a list of values.");
  if (value === undefined) return values === undefined ? null : (values as unknown[]);
  const text = JSON.stringify(value);
  const isListed = values === undefined || values.some((each) => JSON.stringify(each) === text);
  return isListed ? [value] : [];
}

/** Reads `multipleOf`, if it is there. @throws SchemaError */
export function multiplesOf(fields: Fields, path: string): number[] {
  const step = rounded(fields["multipleOf"]);
  if (step === undefined) return [];
  if (typeof step === "number" && step > 0 && Number.isFinite(step)) return [step];
  throw new SchemaError(`${path}/multipleOf`, `is ${JSON.stringify(step)}`, "Give a number above 0.");
}

/** Reads the bounds of numbers. @throws SchemaError */
export function boundsOf(fields: Fields, path: string): ValueShape["bounds"] {
  const bound = (key: string): number | null => {
    const value = rounded(fields[key]);
    if (value === undefined) return null;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    throw new SchemaError(`${path}/${key}`, `is ${JSON.stringify(value)}`, "Give a number.");
  };
  if (Object.keys(fields).every((key) => !/imum$/i.test(key))) return NO_BOUNDS;
  return {
    low: bound("minimum") ?? NO_BOUNDS.low,
    above: bound("exclusiveMinimum") ?? NO_BOUNDS.above,
    high: bound("maximum") ?? NO_BOUNDS.high,
    below: bound("exclusiveMaximum") ?? NO_BOUNDS.below,
  };
}

/** Reads `uniqueItems`. @throws SchemaError */
export function isUnique({ uniqueItems = false }: Fields, path: string): boolean {
  if (typeof uniqueItems === "boolean") return uniqueItems;
  throw new SchemaError(`${path}/uniqueItems`, `is ${JSON.stringify(uniqueItems)}`, "Give true or false.");
}

/** Reads a whole number from 0, if present. */
export function countOf(fields: Fields, key: string, path: string): number | undefined {
  const value = rounded(fields[key]);
  if (value === undefined || (Number.isInteger(value) && (value as number) >= 0))
    return value as number | undefined;
  throw new SchemaError(`${path}/${key}`, `is ${JSON.stringify(value)}`, "Give a whole number from 0.");
}

/** Reads a string, if present. */
export function textOf(fields: Fields, key: string, path: string, hint: string): string | undefined {
  const value = fields[key];
  if (value === undefined || typeof value === "string") return value;
  throw new SchemaError(`${path}/${key}`, `is ${JSON.stringify(value)}`, hint);
}
