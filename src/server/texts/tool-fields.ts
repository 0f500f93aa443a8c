/** @file The fields of a request that offer functions to a model and say which it must call. */
import { z } from "zod";
import type { ResponseFormat } from "./response-format.ts";

export const MAX_TOOLS = 128;

/** A function that may be called. */
export const FUNCTION = {
  name: z.string().regex(/^[\w.-]{1,64}$/, "letters, digits, - _ and ."),
  parameters: z.looseObject({}).nullish(),
};

export const TOOLS = z
  .array(z.looseObject({ type: z.literal("function"), function: z.looseObject(FUNCTION) }))
  .max(MAX_TOOLS);

const NAMED_TOOL = z.strictObject({
  type: z.literal("function"),
  function: z.strictObject({ name: z.string() }),
});

export const TOOL_CHOICE = z.union([
  z.enum(["none", "auto", "required"]),
  NAMED_TOOL,
  z.strictObject({
    type: z.literal("allowed_tools"),
    allowed_tools: z.strictObject({
      mode: z.enum(["auto", "required"]),
      tools: z.array(NAMED_TOOL).min(1).max(MAX_TOOLS),
    }),
  }),
]);

export interface ToolRequest {
  readonly tools?: z.output<typeof TOOLS> | null | undefined;
  readonly tool_choice?: z.output<typeof TOOL_CHOICE> | null | undefined;
  readonly parallel_tool_calls?: boolean | null | undefined;
  readonly response_format?: ResponseFormat | null | undefined;
}
