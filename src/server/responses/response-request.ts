/**
 * @file Schema of the requests of the Responses API. Names are OpenAI's; settings of texts also have the names of graft's other
 * routes.
 */
import { z } from "zod";
import { METADATA } from "../requests/metadata.ts";
import { FLAT_FORMAT } from "../texts/response-format.ts";
import { FUNCTION, MAX_TOOLS } from "../texts/tool-fields.ts";
import { IGNORED_IN_RESPONSES, IGNORED_KEYS, REFUSED_IN_RESPONSES, refusedKeys } from "../unserved-keys.ts";
import { TEMPLATE_VARIABLES, TEXT } from "../wire.ts";
import { ITEMS } from "./input-items.ts";

const { n: _n, response_format: _format, stream_options: _options, ...SETTINGS } = TEXT;

export const LOG_PROBS = "message.output_text.logprobs";

/** Additions to an answer that a request may ask for. This server supports only the first; the others change nothing. */
const INCLUDABLE = [
  LOG_PROBS,
  "code_interpreter_call.outputs",
  "computer_call_output.output.image_url",
  "file_search_call.results",
  "message.input_image.image_url",
  "reasoning.encrypted_content",
  "web_search_call.action.sources",
  "web_search_call.results",
] as const;

const TOOL = z.looseObject({
  type: z
    .string()
    .refine((type) => type === "function", {
      message:
        "expected function: this server runs no tools, so offer a function of your own that does the same",
    })
    .meta({ enum: ["function"] }),
  ...FUNCTION,
});

const NAMED_TOOL = z.strictObject({ type: z.literal("function"), name: z.string() });

const TOOL_CHOICE = z.union([
  z.enum(["none", "auto", "required"]),
  NAMED_TOOL,
  z.strictObject({
    type: z.literal("allowed_tools"),
    mode: z.enum(["auto", "required"]),
    tools: z.array(NAMED_TOOL).min(1).max(MAX_TOOLS),
  }),
]);

export const RESPONSE_REQUEST = z.strictObject({
  ...SETTINGS,
  stream_options: z.strictObject({ include_obfuscation: z.unknown().optional() }).nullish(),
  input: z
    .union([
      z.string(),
      z
        .array(z.looseObject({}))
        .min(1)
        .meta(z.toJSONSchema(ITEMS, { io: "input" })),
    ])
    .describe("The message of the user, or the items of a conversation"),
  instructions: z.string().nullish().describe("The system message"),
  max_output_tokens: z.int().min(1).nullish().describe("Maximum number of new tokens"),
  text: z
    .strictObject({ format: FLAT_FORMAT.nullish(), verbosity: z.unknown().optional() })
    .nullish()
    .describe("Format of the text, which is enforced"),
  tools: z
    .array(TOOL)
    .max(MAX_TOOLS)
    .nullish()
    .describe("Functions that the model may call, passed to the chat template"),
  tool_choice: TOOL_CHOICE.nullish().describe("Whether it may or must call one; default: auto"),
  parallel_tool_calls: z.boolean().nullish().describe("Whether it may call several; false: only one"),
  include: z
    .array(z.enum(INCLUDABLE))
    .nullish()
    .describe(`${LOG_PROBS}: return the log-probability of each token`),
  top_logprobs: z.int().min(0).max(20).nullish().describe("and those of this many most likely tokens"),
  chat_template_kwargs: TEMPLATE_VARIABLES,
  ...IGNORED_KEYS,
  ...IGNORED_IN_RESPONSES,
  ...refusedKeys(REFUSED_IN_RESPONSES),
  metadata: METADATA.nullish().describe("Up to 16 key-value pairs, which the answer repeats"),
});

export type ResponseRequest = z.output<typeof RESPONSE_REQUEST>;
