/**
 * @file Schemas of what clients send, with OpenAI's names. An unknown key is refused. Keys that OpenAI has and this server does
 * not support are listed in unserved-keys.ts.
 */
import { z } from "zod";
import { ROLES } from "../data/rows/messages.ts";
import { NAME_LENGTH, ONE_LINE_NAME } from "./one-line-name.ts";
import { RESPONSE_FORMAT } from "./texts/response-format.ts";
import { TOOLS, TOOL_CHOICE } from "./texts/tool-fields.ts";
import { IGNORED_KEYS, REFUSED_IN_CHATS, REFUSED_IN_COMPLETIONS, refusedKeys } from "./unserved-keys.ts";

/** Most texts of one request for embeddings (OpenAI's limit) or for classification. */
const MAX_INPUTS = 2048;

const TOKENS = z.int().min(1);

const MODEL_NAME = z.string().max(NAME_LENGTH);

/** Settings of a text that all routes share. */
export const TEXT = {
  model: MODEL_NAME.describe("Name of the base or an adapter"),
  stream: z.boolean().nullish().describe("Stream the text as server-sent events"),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().default(false),
      continuous_usage_stats: z.boolean().nullish(),
      include_obfuscation: z.unknown().optional(),
    })
    .nullish()
    .describe("include_usage: count tokens in the last event; continuous_usage_stats: in each event"),
  n: z.int().min(1).max(16).nullish().describe("Number of texts"),
  temperature: z.number().min(0).max(2).nullish().describe("Sampling temperature; 0: greedy; default: 1"),
  top_p: z
    .number()
    .min(0)
    .max(1)
    .nullish()
    .describe("Nucleus sampling; 0: the most likely token; default: 1"),
  top_k: z.int().min(-1).nullish().describe("Sample from the K most likely tokens; 0 or -1: from all"),
  min_p: z
    .number()
    .min(0)
    .max(1)
    .nullish()
    .describe("Sample only from tokens with at least this share of the probability of the most likely one"),
  repetition_penalty: z.number().gt(0).max(2).nullish().describe("1: none"),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d+$/, "a token id"), z.number().min(-100).max(100))
    .nullish()
    .describe("Added to the logits, by token id"),
  seed: z
    .number()
    .refine(Number.isInteger, "expected a whole number")
    .nullish()
    .describe(
      "The same seed gives the same text, whatever else is generated at the same time; default: random",
    ),
  stop: z
    .union([z.string(), z.array(z.string()).max(16)])
    .nullish()
    .describe("Strings before which the text ends"),
  stop_token_ids: z
    .array(z.int().min(0))
    .max(16)
    .nullish()
    .describe("Ids that end the text, in addition to the model's own"),
  ignore_eos: z.boolean().nullish().describe("Ignore the model's own end-of-text ids"),
  min_tokens: z.int().min(0).nullish().describe("Minimum number of new tokens before an id can end the text"),
  response_format: RESPONSE_FORMAT.nullish().describe("Format of the text, which is enforced"),
};

const CALLED = z.looseObject({ name: z.string(), arguments: z.string() });
const MESSAGE = z
  .looseObject({
    role: z.enum(ROLES),
    content: z.union([z.string(), z.array(z.unknown())]).nullish(),
    refusal: z.string().nullish(),
    tool_calls: z.array(z.looseObject({ function: CALLED })).nullish(),
    function_call: CALLED.nullish().describe("Older form of a single call"),
  })
  .refine(({ role, content }) => role === "assistant" || content != null, {
    path: ["content"],
    message: "expected text or a list of parts",
  });

export const TEMPLATE_VARIABLES = z
  .record(z.string(), z.unknown())
  .nullish()
  .describe('Variables of the chat template, such as {"enable_thinking": false}');

export const CHAT_REQUEST = z.strictObject({
  ...TEXT,
  messages: z.array(MESSAGE).min(1),
  chat_template_kwargs: TEMPLATE_VARIABLES,
  max_tokens: TOKENS.nullish().describe("Maximum number of new tokens"),
  max_completion_tokens: TOKENS.nullish().describe("Maximum number of new tokens"),
  logprobs: z.boolean().nullish().describe("Return the log-probability of each token"),
  top_logprobs: z.int().min(0).max(20).nullish().describe("and those of this many most likely tokens"),
  tools: TOOLS.nullish().describe("Functions that the model may call, passed to the chat template"),
  tool_choice: TOOL_CHOICE.nullish().describe("Whether it may or must call one; default: auto"),
  parallel_tool_calls: z
    .boolean()
    .nullish()
    .describe("If it must call a function: whether it must call exactly one"),
  modalities: z.array(z.enum(["text"])).nullish(),
  ...IGNORED_KEYS,
  ...refusedKeys(REFUSED_IN_CHATS),
});

export const COMPLETION_REQUEST = z.strictObject({
  ...TEXT,
  prompt: z
    .union([
      z.string(),
      // Ids come before texts: tried as texts first, each of many ids would become an issue.
      z.array(z.int()).min(1),
      z.array(z.string()).min(1),
      z.array(z.array(z.int()).min(1)).min(1),
    ])
    .describe("Text or token ids to continue, or a list of them"),
  max_tokens: z.int().min(0).nullish().describe("Maximum number of new tokens; default: 16"),
  echo: z
    .boolean()
    .nullish()
    .describe("Return the prompt before the text, with log-probabilities if requested"),
  logprobs: z
    .int()
    .min(0)
    .max(20)
    .nullish()
    .describe("Return the log-probabilities of this many most likely tokens"),
  best_of: z.int().nullish().describe("Refused unless equal to n"),
  ...IGNORED_KEYS,
  ...refusedKeys(REFUSED_IN_COMPLETIONS),
});

const INPUT = z.union([
  z.string(),
  z.array(z.int().min(0)).min(1),
  z.array(z.string()).min(1).max(MAX_INPUTS),
  z
    .array(z.array(z.int().min(0)).min(1))
    .min(1)
    .max(MAX_INPUTS),
]);

/** Fields of texts that are only read, and how they are truncated, with vLLM's names. */
const READ = {
  model: TEXT.model,
  truncate_prompt_tokens: z
    .int()
    .min(-1)
    .nullish()
    .describe("Number of tokens to truncate longer inputs to; -1: as many as the model reads"),
  truncation_side: z
    .enum(["left", "right"])
    .nullish()
    .describe("Which side to truncate; default: right, the end"),
  user: z.unknown().optional(),
};

export const EMBEDDING_REQUEST = z.strictObject({
  ...READ,
  input: INPUT.describe("Text or token ids to embed, or a list of them"),
  encoding_format: z
    .enum(["float", "base64"])
    .nullish()
    .describe("base64: the numbers as little-endian 32-bit floats"),
  dimensions: z.int().min(1).nullish().describe("Refused unless it is the model's own"),
});

export const CLASSIFY_REQUEST = z.strictObject({
  ...READ,
  input: INPUT.describe("Text or token ids to classify, or a list of them"),
});

const DOCUMENT = z.union([z.string(), z.strictObject({ text: z.string() })]);

export const RERANK_REQUEST = z.strictObject({
  model: TEXT.model,
  query: z.string().min(1),
  documents: z.array(DOCUMENT).min(1).max(MAX_INPUTS).describe("Texts to rank"),
  top_n: z.int().min(0).nullish().describe("Number of best documents to return; default: 0, all"),
  return_documents: z.boolean().nullish().describe("Return their texts too; default: true"),
  truncate_prompt_tokens: READ.truncate_prompt_tokens.describe(
    "Number of tokens to truncate longer pairs to, at the end of the longer text; -1: as many as the model reads",
  ),
  max_tokens_per_doc: z
    .int()
    .min(0)
    .nullish()
    .describe("Number of tokens of each document to read; default: 0, all"),
  user: READ.user,
});

export const TOKENIZE_REQUEST = z.strictObject({
  model: MODEL_NAME.nullish(),
  prompt: z.string().nullish().describe("Text"),
  messages: z.array(MESSAGE).min(1).nullish().describe("or a conversation"),
  tools: TOOLS.nullish().describe("Functions passed to the chat template"),
  chat_template_kwargs: TEMPLATE_VARIABLES,
  add_generation_prompt: z.boolean().nullish().describe("Start the assistant's turn; default: true"),
  add_special_tokens: z
    .boolean()
    .nullish()
    .describe("Add the tokenizer's special tokens to a text; default: true"),
  return_token_strs: z.boolean().nullish().describe("Return the text of each token as well"),
});

export const DETOKENIZE_REQUEST = z.strictObject({
  model: MODEL_NAME.nullish(),
  tokens: z.array(z.int().min(0)),
});

export const LOAD_ADAPTER_REQUEST = z.strictObject({
  lora_name: ONE_LINE_NAME.describe("Name by which requests refer to it"),
  lora_path: z.string().min(1).max(4096).describe("Its folder on the server"),
  load_inplace: z.boolean().nullish().describe("Replace the adapter of that name"),
  base_model_name: z.unknown().optional(),
});

export const UNLOAD_ADAPTER_REQUEST = z.strictObject({
  lora_name: z.string().min(1),
  lora_int_id: z.unknown().optional(),
});

export type ChatRequest = z.output<typeof CHAT_REQUEST>;
export type CompletionRequest = z.output<typeof COMPLETION_REQUEST>;
export type ReadRequest = Pick<
  z.output<typeof CLASSIFY_REQUEST>,
  "input" | "truncate_prompt_tokens" | "truncation_side"
>;
/** The settings that chats and completions share. */
export type TextSettings = Pick<ChatRequest, Exclude<keyof typeof TEXT, "model">>;
