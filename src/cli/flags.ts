/**
 * @file Flags from a zod schema: what each key takes, and its text turned into a value.
 *
 * The schema's JSON Schema is the only thing read, so any zod type that has one makes a flag.
 */
import { z } from "zod";

import type { Command } from "./command.ts";

/** What the text after a flag is read as. "yaml" stands for everything that has no form of its own. */
export type FlagKind = "number" | "integer" | "string" | "boolean" | "enum" | "array" | "yaml";

/** One flag of a command. */
export interface Flag {
  /** Key in the schema, camelCase. */
  readonly key: string;
  /** The key as it is typed, kebab-case without dashes. */
  readonly name: string;
  readonly kinds: readonly FlagKind[];
  /** Values that a flag of kind "enum" takes. */
  readonly choices: readonly string[];
  /** What the elements of an array are read as; with `isWhole`, commas do not part them: the flag is repeated. */
  readonly element: (Pick<Flag, "kinds" | "choices"> & { readonly isWhole: boolean }) | null;
  readonly description: string;
  /** `undefined` when there is none. */
  readonly defaultValue: unknown;
  readonly isRequired: boolean;
  readonly minimum: number | null;
  readonly maximum: number | null;
}

/** The part of JSON Schema that decides how a flag is typed. */
interface Node {
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly items?: Node;
  readonly default?: unknown;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** Of strings that are paths, which may hold commas. */
const PATH_FORMAT = "path";

/** Turns `batchSize` into `batch-size`. */
export function kebabCase(key: string): string {
  return key.replaceAll(/([a-z0-9])(?=[A-Z])|([A-Z])(?=[A-Z][a-z])/g, "$1$2-").toLowerCase();
}

function unionOf(node: Node): readonly Node[] {
  return (node.anyOf ?? node.oneOf ?? [node]).filter((member) => member.type !== "null");
}

const PLAIN_KINDS = ["number", "integer", "string", "boolean", "array"] as const;

function kindOf(node: Node): FlagKind {
  if (node.enum !== undefined || typeof node.const === "string") return "enum";
  return PLAIN_KINDS.find((kind) => kind === node.type) ?? "yaml";
}

function typeOf(node: Node): Pick<Flag, "kinds" | "choices"> {
  const members = unionOf(node);
  const choices = members.flatMap(
    (member) => member.enum ?? (member.const === undefined ? [] : [member.const]),
  );
  return { kinds: [...new Set(members.map(kindOf))], choices: choices.map(String) };
}

/** zod gives every integer the limits of exact integers; they say nothing to people. */
function limit(...values: readonly (number | undefined)[]): number | null {
  return values.find((value) => value !== undefined && Math.abs(value) < Number.MAX_SAFE_INTEGER) ?? null;
}

/** Reads the flags of a command off its schema. */
export function flagsOf(command: Pick<Command, "options">): readonly Flag[] {
  const schema = z.toJSONSchema(command.options, { io: "input", unrepresentable: "any" });
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).map(([key, property]) => {
    const node = property as Node;
    const array = unionOf(node).find((member) => member.type === "array");
    return {
      key,
      name: kebabCase(key),
      ...typeOf(node),
      element:
        array === undefined
          ? null
          : { ...typeOf(array.items ?? {}), isWhole: array.items?.format === PATH_FORMAT },
      description: node.description ?? "",
      defaultValue: node.default,
      isRequired: required.has(key),
      minimum: limit(node.minimum, node.exclusiveMinimum),
      maximum: limit(node.maximum, node.exclusiveMaximum),
    };
  });
}
