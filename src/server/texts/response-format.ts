/** @file The format that a request asks its answer to have, with OpenAI's names, and the grammar that enforces it. */
import { z } from "zod";
import { SchemaError } from "../../engine/grammar/schema/schema-keywords.ts";
import type { Grammar } from "../../engine/grammar/token-grammar.ts";
import { toldWhole, UsageError } from "../../errors.ts";
import { ApiError } from "../api-error.ts";
import type { ServerState } from "../server-state.ts";

const FREE = z.strictObject({ type: z.literal("text") });
const ANY_OBJECT = z.strictObject({ type: z.literal("json_object") }).describe("Any JSON object");
const SCHEMA = {
  name: z.string().max(64),
  description: z.string().nullish(),
  schema: z.looseObject({}).nullish(),
  strict: z.boolean().nullish().describe("Always enforced, whatever is given here"),
};
const BY_SCHEMA = "JSON that satisfies a schema";

export const RESPONSE_FORMAT = z.discriminatedUnion("type", [
  FREE,
  ANY_OBJECT,
  z.strictObject({ type: z.literal("json_schema"), json_schema: z.strictObject(SCHEMA) }).describe(BY_SCHEMA),
]);
/** The same in the form of the Responses API. */
export const FLAT_FORMAT = z.discriminatedUnion("type", [
  FREE,
  ANY_OBJECT,
  z.strictObject({ type: z.literal("json_schema"), ...SCHEMA }).describe(BY_SCHEMA),
]);
export type ResponseFormat = z.output<typeof RESPONSE_FORMAT>;

/** The key of a request with the schema of a format. */
export const SCHEMA_PARAM = "response_format.json_schema.schema";

/** The schema of a format; null: any text. */
export function schemaOf(format: ResponseFormat | null | undefined): object | null {
  if (!format || format.type === "text") return null;
  const schema = format.type === "json_schema" ? format.json_schema.schema : null;
  return schema ?? { type: "object" };
}

/** The grammar of a format; null: any text. @throws ApiError 400 for a schema that is not supported */
export async function grammarOf(
  format: ResponseFormat | null | undefined,
  { model }: ServerState,
): Promise<Grammar | null> {
  const schema = schemaOf(format);
  return (
    schema &&
    (await model.grammars.ofSchema(schema).catch((error: unknown) => refuseSchema(SCHEMA_PARAM, error)))
  );
}

/**
 * Does some work; a schema that it cannot hold is told with the place that it has in the request, behind a `subject`.
 * @throws ApiError 400
 */
export function withSchemaPath<T>(param: string, work: () => T, subject = ""): T {
  try {
    return work();
  } catch (error) {
    return refuseSchema(param, error, subject);
  }
}

/** @throws ApiError 400 for a schema that cannot be held; anything else as it is */
export function refuseSchema(param: string, error: unknown, subject = ""): never {
  // A schema whose rules grow too large is refused as a whole, without a path.
  if (!(error instanceof UsageError && error.code === "usage/grammar")) throw error;
  const path = error instanceof SchemaError ? error.path : "";
  throw new ApiError(400, "invalid_json_schema", `${subject}${toldWhole(error)}`, {
    param: `${param}${path.replaceAll("/", ".")}`,
  });
}
