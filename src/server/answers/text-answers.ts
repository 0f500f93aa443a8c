/** @file Schemas of the answers to requests for texts, embeddings, classes and tokens. Their names are those of OpenAI and vLLM. */
import { z } from "zod";

const HEAD = { id: z.string(), created: z.int().describe("In seconds"), model: z.string() };

/** "abort": the text continues in another server. */
const FINISH_REASON = z.enum(["stop", "length", "tool_calls", "abort"]);

const USAGE = z.strictObject({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.strictObject({ cached_tokens: z.int() }),
});
/** The usage in events: absent unless the client asks for it; otherwise null in all events but the last, or the usage so far. */
const USAGE_OF_EVENTS = USAGE.partial({ prompt_tokens_details: true }).nullable().optional();

const SCORED_TOKEN = z.strictObject({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) });
const CHAT_LOG_PROBS = z
  .strictObject({
    content: z.array(SCORED_TOKEN.extend({ top_logprobs: z.array(SCORED_TOKEN) })),
    refusal: z.null(),
  })
  .nullable();

const CALL = z.strictObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.strictObject({ name: z.string(), arguments: z.string().describe("JSON") }),
});

export const CHAT_ANSWER = z.strictObject({
  ...HEAD,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.strictObject({
      index: z.int(),
      message: z.strictObject({
        role: z.literal("assistant"),
        reasoning_content: z.string().optional(),
        content: z.string().nullable(),
        refusal: z.null(),
        tool_calls: z.array(CALL).optional(),
      }),
      logprobs: CHAT_LOG_PROBS,
      finish_reason: FINISH_REASON,
    }),
  ),
  usage: USAGE,
});

export const CHAT_EVENT = z.strictObject({
  ...HEAD,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(
    z.strictObject({
      index: z.int(),
      delta: z.strictObject({
        role: z.literal("assistant").optional(),
        reasoning_content: z.string().optional(),
        content: z.string().nullable().optional(),
        tool_calls: z.array(CALL.extend({ index: z.int() })).optional(),
      }),
      logprobs: CHAT_LOG_PROBS,
      finish_reason: FINISH_REASON.nullable(),
    }),
  ),
  usage: USAGE_OF_EVENTS,
});

/** Parallel lists, with null for a token that has none before it. */
const LISTED_LOG_PROBS = z
  .strictObject({
    tokens: z.array(z.string()),
    token_logprobs: z.array(z.number().nullable()),
    top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
    text_offset: z.array(z.int()),
  })
  .nullable();

const COMPLETION = { ...HEAD, object: z.literal("text_completion") };
const COMPLETED = { index: z.int(), text: z.string(), logprobs: LISTED_LOG_PROBS };

export const COMPLETION_ANSWER = z.strictObject({
  ...COMPLETION,
  choices: z.array(z.strictObject({ ...COMPLETED, finish_reason: FINISH_REASON })),
  usage: USAGE,
});

export const COMPLETION_EVENT = z.strictObject({
  ...COMPLETION,
  choices: z.array(z.strictObject({ ...COMPLETED, finish_reason: FINISH_REASON.nullable() })),
  usage: USAGE_OF_EVENTS,
});

export const EMBEDDING_ANSWER = z.strictObject({
  object: z.literal("list"),
  model: z.string(),
  data: z.array(
    z.strictObject({
      object: z.literal("embedding"),
      index: z.int(),
      embedding: z.union([z.array(z.number()), z.string()]).describe("As encoding_format says"),
    }),
  ),
  usage: z.strictObject({ prompt_tokens: z.int(), total_tokens: z.int() }),
});

export const CLASSIFY_ANSWER = z.strictObject({
  ...HEAD,
  object: z.literal("list"),
  data: z.array(
    z.strictObject({
      index: z.int(),
      label: z.string().describe("The most likely class"),
      probs: z.array(z.number()).describe("By class; for a regression model, its outputs"),
      num_classes: z.int(),
    }),
  ),
  usage: z.strictObject({
    prompt_tokens: z.int(),
    total_tokens: z.int(),
    completion_tokens: z.literal(0),
    prompt_tokens_details: z.null(),
  }),
});

export const RERANK_ANSWER = z.strictObject({
  id: z.string(),
  model: z.string(),
  results: z
    .array(
      z.strictObject({
        index: z.int().describe("Index of the document"),
        document: z.strictObject({ text: z.string() }).optional(),
        relevance_score: z.number(),
      }),
    )
    .describe("Best first"),
  usage: z.strictObject({ prompt_tokens: z.int(), total_tokens: z.int() }),
});

export const TOKENIZE_ANSWER = z.strictObject({
  count: z.int(),
  max_model_len: z.int(),
  tokens: z.array(z.int()),
  token_strs: z.array(z.string()).nullable(),
});

export const DETOKENIZE_ANSWER = z.strictObject({ prompt: z.string() });
