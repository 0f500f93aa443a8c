/**
 * @file Describes what a schema expects in plain words, made from its JSON Schema, not from the messages of the library that
 * checks.
 */
import { z } from "zod";
import { A_SIZE } from "./byte-size.ts";
import { formatCountOf } from "./numbers.ts";

/** The parts of JSON Schema that are described. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly const?: string | number | boolean | null;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly default?: unknown;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly multipleOf?: number;
}

/** Format of strings that are paths, which may contain commas. */
export const PATH_FORMAT = "path";
/** Format of strings that are sizes of memory. */
export const SIZE_FORMAT = "size";
/** Format of strings that may be paths, or have one after a name. */
export const NAME_OR_PATH_FORMAT = "name-or-path";
/** Format of strings that may be paths, or commands with their arguments. */
export const COMMAND_OR_PATH_FORMAT = "command-or-path";
/** Format of strings that messages never show. */
export const SECRET_FORMAT = "secret";
/** Format of strings that are URLs. */
export const URL_FORMAT = "url";
/** Format of URLs that messages never show, since they may contain a password. */
export const SECRET_URL_FORMAT = "secret-url";

const SECRETS: ReadonlySet<string | undefined> = new Set([SECRET_FORMAT, SECRET_URL_FORMAT]);

/** How values are written: typed after a flag, or as values of a program or file. */
export type ValueForm = "typed" | "written";

/** The JSON Schema of the values that callers give. */
export function schemaNode(schema: z.ZodType): SchemaNode {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as SchemaNode;
}

/** The alternatives of a schema, including nested ones; null is none. */
export function membersOf(node: SchemaNode): readonly SchemaNode[] {
  const inner = node.anyOf ?? node.oneOf;
  if (inner !== undefined) return inner.flatMap(membersOf);
  if (Array.isArray(node.type)) return node.type.flatMap((type: string) => membersOf({ ...node, type }));
  return node.type === "null" ? [] : [node];
}

/** The choices of a node; null: it is not a list of choices. */
function choicesOf(node: SchemaNode): readonly string[] | null {
  if (node.enum !== undefined) return node.enum.map(String);
  return node.const === undefined ? null : [String(node.const)];
}

/** A limit that is meaningful to people: zod gives every integer the limits of exact integers. */
export function knownLimit(value: number | undefined): number | undefined {
  return value !== undefined && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : undefined;
}

function describeNumber(node: SchemaNode): string {
  const isWhole = node.type === "integer";
  const step = node.multipleOf !== undefined && node.multipleOf !== 1 ? node.multipleOf : null;
  const kind =
    step === null
      ? isWhole
        ? "a whole number"
        : "a number"
      : step === 2
        ? "an even number"
        : `a multiple of ${step}`;
  const above = knownLimit(node.exclusiveMinimum);
  const below = knownLimit(node.exclusiveMaximum);
  const least = knownLimit(node.minimum) ?? (isWhole && above !== undefined ? above + 1 : undefined);
  const most = knownLimit(node.maximum) ?? (isWhole && below !== undefined ? below - 1 : undefined);
  if (least !== undefined && most !== undefined) return `${kind} from ${least} to ${most}`;
  const limits = [
    ...(least === undefined ? (above === undefined ? [] : [`above ${above}`]) : [`of at least ${least}`]),
    ...(most === undefined ? (below === undefined ? [] : [`below ${below}`]) : [`of at most ${most}`]),
  ];
  return [kind, limits.join(" and ")].filter(Boolean).join(" ");
}

/** Describes how many items a list may have; null: any number, or at least one. */
function countOf({ minItems = 0, maxItems }: SchemaNode): string | null {
  if (maxItems === minItems) return String(maxItems);
  if (maxItems !== undefined) return minItems > 1 ? `${minItems} to ${maxItems}` : `at most ${maxItems}`;
  return minItems > 1 ? `at least ${minItems}` : null;
}

/** `items`: describes them in the plural; null: that would take more words. */
function aList(node: SchemaNode, items: string | null): string {
  const list = node.minItems === 1 ? "a non-empty list" : "a list";
  const members = [countOf(node), items].filter((word) => word !== null);
  return members.length === 0 ? list : `${list} of ${members.join(" ")}`;
}

function describeText({ minLength = 0, maxLength }: SchemaNode): string {
  if (maxLength !== undefined)
    return `text of ${minLength > 0 ? `${minLength} to` : "at most"} ${maxLength} characters`;
  return minLength > 1
    ? `text of at least ${minLength} characters`
    : minLength > 0
      ? "non-empty text"
      : "text";
}

/** Describes items of one kind in the plural; null: that would take more words. */
function describeItem(node: SchemaNode): string | null {
  if (choicesOf(node) !== null) return null;
  if (node.format === PATH_FORMAT) return "paths";
  if (node.type === "string") return "texts";
  if (node.type === "array") return "lists";
  if (node.type === "object") return "objects";
  const [, number, limits] = /^a ((?:whole )?number)(.*)$/.exec(describeNumber(node)) ?? [];
  return /^(number|integer)$/.test(String(node.type)) && number !== undefined ? `${number}s${limits}` : null;
}

/** Describes the items of a list in the plural; null: that would take more words. */
function describeItems(node: SchemaNode): string | null {
  const [word, ...others] = new Set(membersOf(node).map(describeItem));
  return word === undefined || others.length > 0 ? null : word;
}

function describeOne(node: SchemaNode, form: ValueForm): string {
  const isTyped = form === "typed";
  switch (String(node.type ?? "")) {
    case "number":
    case "integer":
      return describeNumber(node);
    case "boolean":
      return isTyped ? "on or off" : "true or false";
    case "string":
      if (node.format === SIZE_FORMAT) return A_SIZE;
      return node.format === PATH_FORMAT ? "a path" : describeText(node);
    case "array": {
      if (isTyped && node.items?.format === PATH_FORMAT) return "a path, with the flag repeated for each";
      const count = countOf(node);
      if (isTyped)
        return `a comma-separated list${count === null ? "" : ` of ${count}`}, each ${describeSchema(node.items ?? {}, form)}`;
      if (isAnything(node.items)) return aList(node, null);
      const items = describeItems(node.items ?? {});
      const list = aList(node, items);
      return items === null ? `${list}, each ${describeSchema(node.items ?? {}, form)}` : list;
    }
    case "object": {
      const { additionalProperties: values } = node;
      const isNamed = typeof values === "object" && !isAnything(values);
      const each = isNamed ? `, each ${describeSchema(values, form)}` : "";
      return `values by name${each}${isTyped ? ", in YAML or JSON" : ""}`;
    }
    default:
      return isTyped ? "YAML or JSON" : "another value";
  }
}

/** Whether a schema accepts anything. */
function isAnything(node: SchemaNode | undefined): boolean {
  return (
    node === undefined || (node.type === undefined && membersOf(node)[0] === node && choicesOf(node) === null)
  );
}

/** Describes what a schema accepts: `a number above 0`, `one of sgd, lion`, `text or a list, each text`. */
export function describeSchema(node: SchemaNode, form: ValueForm): string {
  const members = membersOf(node);
  const choices = [...new Set(members.flatMap((member) => choicesOf(member) ?? []))];
  const others = members.filter((member) => choicesOf(member) === null);
  const words = [
    ...(choices.length === 0 ? [] : [choices.length === 1 ? choices[0]! : `one of ${choices.join(", ")}`]),
    ...others.map((member) => describeOne(member, form)),
  ];
  return [...new Set(words)].join(" or ") || "null";
}

/** Writes a value as it would be typed, shortened if it is long; a value that cannot be typed is described by its kind. */
export function showValue(value: unknown): string {
  const kind = kindOf(value);
  if (kind !== null) return kind;
  // JSON cannot represent infinity and NaN.
  const text = typeof value === "number" ? String(value) : (toJson(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Whether a schema accepts secrets, alone or in a list. */
export function takesSecrets(node: SchemaNode): boolean {
  return membersOf(node).some(
    ({ format, items }) => SECRETS.has(format) || (items !== undefined && takesSecrets(items)),
  );
}

/** Describes a secret without showing it: the length of a text, or that it is no text. */
export function describeSecret(value: unknown): string {
  const kind = typeof value === "number" ? "a number" : "no text";
  const size = typeof value === "string" ? `text of ${formatCountOf(value.length, "character")}` : kind;
  return `${size} (not shown)`;
}

/** The kind of a function or of an object of a class; null: the value can be written as itself. */
function kindOf(value: unknown): string | null {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const prototype = Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null;
  if (prototype === null || prototype === Object.prototype) return null;
  // A wrapper of a whole number that JavaScript would round.
  if (/^-?\d+$/.test(toJson(value) ?? "")) return null;
  const name = prototype.constructor?.name;
  if (typeof name !== "string" || name === "") return "an object";
  // For instance "a URL" and "a Uint8Array".
  return `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`;
}

/** Handles values of settings files and calls that JSON cannot represent: circular ones, and large whole numbers. */
function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value, (_key, inner: unknown) =>
      ArrayBuffer.isView(inner) ? kindOf(inner) : inner,
    );
  } catch {
    return typeof value === "bigint" ? `${value}n` : "a value that JSON cannot represent";
  }
}
