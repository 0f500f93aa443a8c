/**
 * @file Flags from a zod schema: what each key takes, and its text turned into a value.
 *
 * The schema's JSON Schema is the only thing read, so any zod type that has one makes a flag.
 */
import {
  COMMAND_OR_PATH_FORMAT,
  NAME_OR_PATH_FORMAT,
  PATH_FORMAT,
  describeSchema,
  knownLimit,
  membersOf,
  type SchemaNode,
  schemaNode,
  takesSecrets,
} from "../../messages/expected.ts";
import { kebabCase } from "../../messages/setting-names.ts";
import type { Command } from "../command.ts";

/** How the text of a flag is parsed. "yaml" is for every type without a kind of its own. */
export type FlagKind = "number" | "integer" | "string" | "boolean" | "enum" | "array" | "yaml";

export interface Flag {
  /** Key in the schema, camelCase. */
  readonly key: string;
  /** The key as typed, kebab-case without dashes. */
  readonly name: string;
  readonly kinds: readonly FlagKind[];
  /** Values of a flag of kind "enum". */
  readonly choices: readonly string[];
  /** The format of a flag of kind "string", from `messages/expected.ts`; null: any text. */
  readonly format: string | null;
  /** How the elements of an array are read; with `isWhole`, commas do not separate them, and the flag is repeated instead. */
  readonly element: (Pick<Flag, "kinds" | "choices" | "format"> & { readonly isWhole: boolean }) | null;
  /** Whether it takes paths: a single one, in a list, or with names. */
  readonly takesPaths: boolean;
  /** Whether messages must not show the given value. */
  readonly isSecret: boolean;
  readonly description: string;
  /** The expected value, in words. */
  readonly expected: string;
  /** `undefined` if there is no default. */
  readonly defaultValue: unknown;
  readonly isRequired: boolean;
  readonly minimum: number | null;
  readonly maximum: number | null;
}

const PLAIN_KINDS = ["number", "integer", "string", "boolean", "array"] as const;

function kindOf(node: SchemaNode): FlagKind {
  if (node.enum !== undefined || typeof node.const === "string") return "enum";
  return PLAIN_KINDS.find((kind) => kind === node.type) ?? "yaml";
}

function typeOf(node: SchemaNode): Pick<Flag, "kinds" | "choices" | "format"> {
  const members = membersOf(node);
  const choices = members.flatMap(
    (member) => member.enum ?? (member.const === undefined ? [] : [member.const]),
  );
  const format = members.find(({ type }) => type === "string")?.format ?? null;
  return { kinds: [...new Set(members.map(kindOf))], choices: choices.map(String), format };
}

const FORMATS_OF_PATHS: readonly string[] = [PATH_FORMAT, NAME_OR_PATH_FORMAT, COMMAND_OR_PATH_FORMAT];

function takesPaths(node: SchemaNode): boolean {
  return membersOf(node).some(
    ({ format = "", items }) =>
      FORMATS_OF_PATHS.includes(format) || (items !== undefined && takesPaths(items)),
  );
}

/** Derives the flags of a command from its schema. */
export function flagsOf(command: Pick<Command, "options">): readonly Flag[] {
  const schema = schemaNode(command.options);
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).map(([key, node]) => {
    const array = membersOf(node).find((member) => member.type === "array");
    return {
      key,
      name: kebabCase(key),
      ...typeOf(node),
      element:
        array === undefined
          ? null
          : { ...typeOf(array.items ?? {}), isWhole: array.items?.format === PATH_FORMAT },
      takesPaths: takesPaths(node),
      isSecret: takesSecrets(node),
      description: node.description ?? "",
      expected: describeSchema(node, "typed"),
      defaultValue: node.default,
      isRequired: required.has(key),
      minimum: knownLimit(node.minimum) ?? knownLimit(node.exclusiveMinimum) ?? null,
      maximum: knownLimit(node.maximum) ?? knownLimit(node.exclusiveMaximum) ?? null,
    };
  });
}
