/** @file Schemas of the answers of the Responses API. Their names are OpenAI's. */
import { z } from "zod";

const STATUS = z.enum(["in_progress", "completed", "incomplete"]);
const SCORED = { token: z.string(), logprob: z.number(), bytes: z.array(z.int()) };
const LOG_PROBS = z.array(z.strictObject({ ...SCORED, top_logprobs: z.array(z.strictObject(SCORED)) }));

const OUTPUT_TEXT = z.strictObject({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: z.array(z.unknown()).max(0),
  logprobs: LOG_PROBS.describe("If include asks for them"),
});
const REASONING_TEXT = z.strictObject({ type: z.literal("reasoning_text"), text: z.string() });

const ITEM = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("message"),
    id: z.string(),
    role: z.literal("assistant"),
    status: STATUS,
    content: z.array(OUTPUT_TEXT),
  }),
  z.strictObject({
    type: z.literal("reasoning"),
    id: z.string(),
    summary: z.array(z.unknown()).max(0),
    status: STATUS,
    content: z.array(REASONING_TEXT),
  }),
  z.strictObject({
    type: z.literal("function_call"),
    id: z.string(),
    call_id: z.string().describe("What its result names"),
    name: z.string(),
    arguments: z.string().describe("JSON"),
    status: STATUS,
  }),
]);

const USAGE = z.strictObject({
  input_tokens: z.int(),
  input_tokens_details: z.strictObject({ cached_tokens: z.int(), cache_write_tokens: z.literal(0) }),
  output_tokens: z.int(),
  output_tokens_details: z.strictObject({ reasoning_tokens: z.int() }),
  total_tokens: z.int(),
});

export const RESPONSE_ANSWER = z.strictObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int().describe("In seconds"),
  completed_at: z.int().nullable().describe("In seconds"),
  status: z.enum(["in_progress", "completed", "incomplete", "failed"]),
  error: z.strictObject({ code: z.literal("server_error"), message: z.string() }).nullable(),
  incomplete_details: z.strictObject({ reason: z.enum(["max_output_tokens", "abort"]) }).nullable(),
  model: z.string(),
  output: z.array(ITEM),
  usage: USAGE.nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  metadata: z.record(z.string(), z.string()),
  parallel_tool_calls: z.boolean(),
  temperature: z.number(),
  top_p: z.number(),
  presence_penalty: z.number(),
  frequency_penalty: z.number(),
  top_logprobs: z.int(),
  text: z.strictObject({ format: z.looseObject({ type: z.string() }) }),
  tools: z.array(z.looseObject({ type: z.literal("function"), name: z.string() })),
  tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]),
  user: z.string().nullable(),
  safety_identifier: z.string().nullable(),
  prompt_cache_key: z.string().nullable(),
  store: z.literal(false).describe("Answers are not stored, whatever the request says"),
  background: z.literal(false),
  previous_response_id: z.null(),
  max_tool_calls: z.null(),
  reasoning: z.strictObject({ effort: z.null(), summary: z.null() }),
  service_tier: z.literal("default"),
  truncation: z.literal("disabled"),
});

const NUMBER = { sequence_number: z.int() };
const IN_ITEM = { item_id: z.string(), output_index: z.int() };
const IN_PART = { ...IN_ITEM, content_index: z.int() };

function event<T extends string>(types: readonly [T, ...T[]], fields: z.ZodRawShape) {
  return z.strictObject({ type: z.enum(types), ...NUMBER, ...fields });
}

export const RESPONSE_EVENT = z.discriminatedUnion("type", [
  event(
    [
      "response.created",
      "response.in_progress",
      "response.completed",
      "response.incomplete",
      "response.failed",
    ],
    { response: RESPONSE_ANSWER },
  ),
  event(["response.output_item.added", "response.output_item.done"], { output_index: z.int(), item: ITEM }),
  event(["response.content_part.added", "response.content_part.done"], {
    ...IN_PART,
    part: z.discriminatedUnion("type", [OUTPUT_TEXT, REASONING_TEXT]),
  }),
  event(["response.output_text.delta"], { ...IN_PART, delta: z.string(), logprobs: LOG_PROBS }),
  event(["response.output_text.done"], { ...IN_PART, text: z.string(), logprobs: LOG_PROBS }),
  event(["response.reasoning_text.delta"], { ...IN_PART, delta: z.string() }),
  event(["response.reasoning_text.done"], { ...IN_PART, text: z.string() }),
  event(["response.function_call_arguments.delta"], { ...IN_ITEM, delta: z.string() }),
  event(["response.function_call_arguments.done"], { ...IN_ITEM, name: z.string(), arguments: z.string() }),
  event(["error"], { message: z.string(), code: z.string().nullable(), param: z.string().nullable() }),
]);
