/** @file POST /tokenize and /detokenize, in vLLM's form. */
import { DETOKENIZE_ANSWER, TOKENIZE_ANSWER } from "../answers/text-answers.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import { readMessage } from "../texts/chat-messages.ts";
import { defineRoute } from "../route.ts";
import { requireIds } from "../texts/text-job.ts";
import { DETOKENIZE_REQUEST, TOKENIZE_REQUEST } from "../wire.ts";

/** Most characters to encode, and most ids to decode, in one request. It blocks the server for less than a second. */
const MAX_LENGTH = 1 << 18;

/** @throws ApiError 400 for more than this */
function requireShort({ length }: string | readonly number[], param: string, what: string): void {
  if (length <= MAX_LENGTH) return;
  throw new ApiError(
    400,
    "text_too_long",
    `${param} has ${length} ${what}, expected at most ${MAX_LENGTH}: send it in parts`,
    { param },
  );
}

export const tokenize = defineRoute({
  method: "post",
  path: "/tokenize",
  summary: "Encode a text or a conversation",
  access: "read",
  body: TOKENIZE_REQUEST,
  answer: { whole: TOKENIZE_ANSWER },
  handle: async ({ body, context, state }) => {
    const { prompt, messages, tools = null, chat_template_kwargs: variables } = body;
    const { model } = state;
    if (body.model != null) await state.models.adapterOf(body.model);
    if ((prompt == null) === (messages == null)) {
      throw invalidValue("expected either prompt or messages", "prompt");
    }
    if (prompt != null) requireShort(prompt, "prompt", "characters");
    else {
      const read = JSON.stringify({ messages, tools, variables });
      requireShort(read, "messages", "characters with tools and chat_template_kwargs");
    }
    const { tokenizer } = model.parts;
    const tokens = messages
      ? model.encodeChat(messages.map(readMessage), {
          tools,
          addGenerationPrompt: body.add_generation_prompt ?? true,
          variables: variables ?? {},
        })
      : tokenizer.encode(prompt ?? "", { addSpecialTokens: body.add_special_tokens ?? true });
    return context.json({
      count: tokens.length,
      max_model_len: model.maxTokens,
      tokens,
      token_strs: body.return_token_strs === true ? tokens.map((id) => tokenizer.decode([id])) : null,
    });
  },
});

export const detokenize = defineRoute({
  method: "post",
  path: "/detokenize",
  summary: "Decode token ids",
  access: "read",
  body: DETOKENIZE_REQUEST,
  answer: { whole: DETOKENIZE_ANSWER },
  handle: async ({ body: { model, tokens }, context, state }) => {
    if (model != null) await state.models.adapterOf(model);
    requireShort(tokens, "tokens", "ids");
    if (tokens.length > 0) requireIds(tokens, "tokens", state);
    return context.json({ prompt: state.model.parts.tokenizer.decode(tokens) });
  },
});
