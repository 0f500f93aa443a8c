/** @file Finds all problems of values by a schema at once: of flags, settings files, calls and files. */
import type { z } from "zod";
import { UsageError } from "../errors.ts";
import {
  type SchemaNode,
  type ValueForm,
  describeSchema,
  describeSecret,
  membersOf,
  schemaNode,
  showValue,
  takesSecrets,
} from "./expected.ts";
import { adviceFor, nearestName } from "./setting-names.ts";

/** A problem of one value. */
export interface Problem {
  /** Keys from the outermost in; empty: the problem concerns all values together. */
  readonly path: readonly string[];
  /** Text that follows the value's name: `is 7, expected a number above 0`. */
  readonly text: string;
}

/** Lists the first names, and says how many more there are. */
export function listFirst(names: readonly string[], most: number): string {
  const rest = names.length - most;
  return names.slice(0, most).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

function valueAt(values: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null)?.[key], values);
}

/** The schema of a value inside another: if the outer one has several forms, those that name the value. */
function nodeAt(node: SchemaNode, path: readonly PropertyKey[]): SchemaNode {
  const [key, ...rest] = path;
  if (key === undefined) return node;
  const forms = membersOf(node).flatMap(({ properties, items, additionalProperties: more }) => {
    const isEntry = typeof more === "object" ? more : undefined;
    return properties?.[String(key)] ?? (typeof key === "number" ? items : isEntry) ?? [];
  });
  if (forms.length === 0) return node;
  return nodeAt(forms.length === 1 ? forms[0]! : { anyOf: forms }, rest);
}

const UNKNOWN = "is not a setting";

/** Describes an unknown key and the known one that may have been meant. */
function unknownKey(key: string, known: readonly string[]): string {
  const match = nearestName(key, known);
  if (match === null) return UNKNOWN;
  return match.isSynonym
    ? `${UNKNOWN}: it is called ${match.text} here`
    : `${UNKNOWN}, the nearest is ${match.text}`;
}

/** Finds all problems of values, one for each key. */
export function findProblems(
  schema: z.ZodType,
  values: unknown,
  form: ValueForm = "written",
): readonly Problem[] {
  return problemsOf(schema.safeParse(values).error?.issues ?? [], schema, values, form);
}

/** A key that zod drops silently, since it would set the prototype of an object that is built key by key. */
const DROPPED = "__proto__";

/** Whether a value itself has that key. */
export function hasDroppedKey(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, DROPPED);
}

/** Finds that key at any depth of values, which may be circular. */
export function findDroppedKeys(values: unknown, seen = new Set<unknown>()): readonly Problem[] {
  if (typeof values !== "object" || values === null || seen.has(values)) return [];
  seen.add(values);
  return Object.entries(values).flatMap(([key, value]) =>
    key === DROPPED
      ? { path: [key], text: UNKNOWN }
      : findDroppedKeys(value, seen).map(({ path, text }) => ({ path: [key, ...path], text })),
  );
}

/** Converts the issues of a schema with values to problems, one for each key. */
export function problemsOf(
  issues: readonly z.core.$ZodIssue[],
  schema: z.ZodType,
  values: unknown,
  form: ValueForm = "written",
): readonly Problem[] {
  if (issues.length === 0) return [];
  const root = schemaNode(schema);
  const problems = new Map<string, Problem>();
  const add = (path: readonly PropertyKey[], text: string): void => {
    const keys = path.map(String);
    const name = keys.join(".");
    if (!problems.has(name)) problems.set(name, { path: keys, text });
  };
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys") {
      const known = membersOf(nodeAt(root, issue.path)).flatMap((form) => Object.keys(form.properties ?? {}));
      for (const key of issue.keys) add([...issue.path, key], unknownKey(key, known));
      continue;
    }
    if (issue.code === "invalid_key") {
      add(
        issue.path,
        `is not a valid name, expected ${issue.issues.map(({ message }) => message).join(" and ")}`,
      );
      continue;
    }
    const value = valueAt(values, issue.path);
    const node = nodeAt(root, issue.path);
    const shown = takesSecrets(node) ? describeSecret(value) : showValue(value);
    if (value === undefined && issue.path.length > 0) add(issue.path, "is missing");
    else if (issue.code === "custom") {
      add(issue.path, issue.path.length === 0 ? issue.message : `is ${shown}, ${issue.message}`);
    } else {
      const own =
        issue.code === "invalid_format" && !issue.message.startsWith("Invalid") ? issue.message : null;
      const isInexact = issue.code === "too_big" && issue.maximum === Number.MAX_SAFE_INTEGER;
      const expected = `${own ?? describeSchema(node, form)}${isInexact ? ", below 2^53" : ""}`;
      const is = issue.path.length === 0 ? "" : "is ";
      add(issue.path, `${is}${shown}, expected ${expected}`);
    }
  }
  return [...problems.values()];
}

/** A hint for unknown keys that only other tools have; null: there is none. */
function adviceOn(problems: readonly Problem[]): string | null {
  const advice = problems.flatMap(({ path, text }) => {
    const key = path.at(-1);
    return key === undefined || !text.startsWith(UNKNOWN) ? [] : (adviceFor(key) ?? []);
  });
  return advice.length === 0 ? null : [...new Set(advice)].join(" ");
}

/** Writes problems as a list; `nameOf` returns the caller's name of a key. */
export function listProblems(
  problems: readonly Problem[],
  nameOf: (path: readonly string[]) => string = (path) => path.join("."),
): readonly string[] {
  return problems.map(({ path, text }) => (path.length === 0 ? text : `${nameOf(path)} ${text}`));
}

/**
 * Checks settings and fills in their defaults; `what` follows "Cannot use".
 * @throws UsageError "usage/flag" that lists every problem
 */
export function parseSettings<S extends z.ZodType>(
  schema: S,
  values: unknown,
  what: string,
  hint?: string,
): z.output<S> {
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  throw settingsError(what, findProblems(schema, values), hint);
}

/** The error that lists the problems of settings. */
export function settingsError(what: string, problems: readonly Problem[], hint?: string): UsageError {
  const lines = listProblems(problems);
  const list = lines.length === 1 ? ` ${lines[0]}` : ` ${lines.length} problems\n  ${lines.join("\n  ")}`;
  const hints = [adviceOn(problems), hint].filter((text) => text != null);
  return new UsageError(
    "usage/flag",
    `Cannot use ${what}:${list}`,
    hints.length === 0 ? {} : { hint: hints.join(" ") },
  );
}
