/**
 * @file Contract of a route: its body is described by one zod schema, from which checks and the OpenAPI document are derived.
 *
 * The list is routes.ts. A new route needs its own file and one line there.
 */
import type { Context } from "hono";
import type { z } from "zod";
import {
  isWrittenNumber,
  parseJson as parseExactly,
  rounded,
  withPlainFloats,
} from "../data/formats/long-integer.ts";
import { isRecord } from "../data/rows/row-error.ts";
import { type Problem, findDroppedKeys, hasDroppedKey, problemsOf } from "../messages/problems.ts";
import { ApiError } from "./api-error.ts";
import type { ApiRole } from "./access/api-keys.ts";
import { describeJsonFault } from "./requests/json-fault.ts";
import type { ResumedRequest } from "./running-requests.ts";
import type { ServerState } from "./server-state.ts";

/** Who may call a route: everybody, or, if keys are required, those with a key of at least this role. */
export type Access = "everybody" | ApiRole;

/** The successful answer of a route. */
export interface RouteAnswer {
  /** Schema of JSON, or the media type of anything else. */
  readonly whole: z.ZodType | string;
  /** The JSON of each event, if the answer can be streamed. */
  readonly events?: z.ZodType;
  /** Whether each event is named by its type, and nothing follows the last. */
  readonly hasNamedEvents?: true;
}

interface RouteBody<B extends z.ZodType, Q extends z.ZodObject> {
  readonly method: "get" | "post" | "delete";
  readonly path: string;
  /** One sentence, without a period. */
  readonly summary: string;
  readonly access: Access;
  /** Served even while the server stops; other routes that require a key are then refused. */
  readonly whileStopping?: true;
  /** Schema of the query string; absent: it is ignored. */
  readonly query?: Q;
  /** null: the route takes no JSON. */
  readonly body: B | null;
  /** The fields of the form that it takes instead of JSON. */
  readonly form?: z.ZodObject;
  readonly answer: RouteAnswer;
  readonly handle: (call: Call<z.output<B>, z.output<Q>>) => Response | Promise<Response>;
}

/** A request to a route. */
interface Call<B, Q> {
  readonly body: B;
  readonly query: Q;
  /** The body as sent, if `body` of the route is null. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly context: Context;
  readonly state: ServerState;
  /** Whether clients must send a key at present. */
  readonly asksForKey: () => Promise<boolean>;
  /** What another server has already written; absent: it is a new request. */
  readonly resumed?: ResumedRequest;
}

export type Route = RouteBody<z.ZodType, z.ZodObject>;

/** Deepest nesting of values, since recursion through more levels could overflow the stack. */
const MAX_DEPTH = 256;
/** Most problems of a body that are listed: nobody reads more, and a body could contain a million. */
const MAX_PROBLEMS = 32;
const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** Checks a route's types, then hides those of its schemas, so that routes with different bodies fit into one list. */
export function defineRoute<B extends z.ZodType, Q extends z.ZodObject>(route: RouteBody<B, Q>): Route {
  return route;
}

/** Reads the JSON of a body. @throws ApiError 400 that lists every problem */
export function parseBody(bytes: Uint8Array, schema: z.ZodType): unknown {
  return parseValues(parseJson(bytes), schema);
}

/** Checks values against the schema of a body. @throws ApiError 400 that lists every problem, up to a limit */
export function parseValues<B extends z.ZodType>(values: unknown, schema: B): z.output<B> {
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.flatMap((issue): z.core.$ZodIssue[] =>
    issue.code === "unrecognized_keys" ? issue.keys.map((key) => ({ ...issue, keys: [key] })) : [issue],
  );
  throw invalidValues(
    problemsOf(issues.slice(0, MAX_PROBLEMS), schema, values),
    issues.length - MAX_PROBLEMS,
  );
}

/** An error that lists problems; `numMore`: how many are not listed. */
function invalidValues(problems: readonly Problem[], numMore: number): ApiError {
  const told = problems.map(
    ({ path, text: found }) => `${nameOf(path)}${path.length === 0 ? " is" : ""} ${found}`,
  );
  const message = [...told, ...(numMore > 0 ? [`and ${numMore} more`] : [])].join("; ");
  const [first] = problems;
  return new ApiError(400, "invalid_value", message, {
    param: first?.path.length ? nameOf(first.path) : null,
  });
}

/** Keys whose values are passed on to templates, which must see numbers as they are written. */
const HANDED_ON: readonly string[] = ["tools", "chat_template_kwargs"];

/** Whole numbers within the range of requests keep all digits, and floats in passed on values keep their form. */
function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    throw new ApiError(400, "invalid_json", "The body is not JSON: its bytes are not UTF-8");
  }
  let value: unknown;
  try {
    value = parseExactly(text);
  } catch (error) {
    throw new ApiError(400, "invalid_json", `The body is not JSON: ${describeJsonFault(text, error)}`);
  }
  requireReadable(value);
  if (!isRecord(value) || isWrittenNumber(value)) return rounded(value);
  const plain = Object.entries(value).map(([key, each]) => {
    return [key, rounded(HANDED_ON.includes(key) ? each : withPlainFloats(each))];
  });
  return Object.fromEntries(plain);
}

/** Refuses values that are nested too deep, and keys that schemas drop. @throws ApiError 400 */
function requireReadable(value: unknown): void {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) {
      const message = `The body has values nested more than ${MAX_DEPTH} levels deep`;
      throw new ApiError(400, "invalid_json", message);
    }
    if (level.some(hasDroppedKey)) {
      // Keys occur not only in settings, but also in a schema for answers.
      const text = "cannot be the name of a key, expected another";
      const problems = findDroppedKeys(value).map(({ path }) => ({ path, text }));
      throw invalidValues(problems.slice(0, MAX_PROBLEMS), problems.length - MAX_PROBLEMS);
    }
    level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
  }
}

/** For instance `messages[0].role`. */
function nameOf(path: readonly string[]): string {
  if (path.length === 0) return "the body";
  return path.map((key, i) => (/^\d+$/.test(key) ? `[${key}]` : i === 0 ? key : `.${key}`)).join("");
}
