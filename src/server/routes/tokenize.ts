/** @file POST /tokenize and /detokenize, in vLLM's form. */
import { ApiError } from "../api-error.ts";
import { readMessage } from "../chat-messages.ts";
import { defineRoute } from "../route.ts";
import { DETOKENIZE_REQUEST, TOKENIZE_REQUEST } from "../wire.ts";

export const tokenize = defineRoute({
  method: "post",
  path: "/tokenize",
  summary: "Encode a text or a conversation",
  access: "read",
  body: TOKENIZE_REQUEST,
  handle: ({ body, context, state: { model } }) => {
    const { prompt, messages, add_special_tokens: addSpecialTokens } = body;
    if ((prompt === undefined) === (messages === undefined)) {
      throw new ApiError(400, "prompt or messages is needed, and only one of them", { param: "prompt" });
    }
    const tokens = messages
      ? model.encodeChat(messages.map(readMessage), null)
      : model.parts.tokenizer.encode(prompt ?? "", { addSpecialTokens });
    return context.json({ count: tokens.length, max_model_len: model.maxTokens, tokens });
  },
});

export const detokenize = defineRoute({
  method: "post",
  path: "/detokenize",
  summary: "Decode token ids",
  access: "read",
  body: DETOKENIZE_REQUEST,
  handle: ({ body, context, state: { model } }) =>
    context.json({ prompt: model.parts.tokenizer.decode(body.tokens) }),
});
