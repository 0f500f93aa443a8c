/** @file POST /v1/chat/completions: the assistant's next turn of a conversation. */
import type { Message } from "../../data/messages.ts";
import { ApiError } from "../api-error.ts";
import { chatLogProbs } from "../log-probs.ts";
import { grammarOf } from "../response-format.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { sendEvents } from "../sse.ts";
import { finishReasonOf, textJobs, usageOf } from "../text-job.ts";
import { CHAT_REQUEST, type ChatRequest } from "../wire.ts";
import { writeTexts } from "../write-texts.ts";

export const chatCompletions = defineRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Write the assistant's next turn of a conversation",
  access: "read",
  body: CHAT_REQUEST,
  handle: async ({ body, context, state }) => {
    const adapter = state.adapterOf(body.model);
    const tools = body.tool_choice === "none" ? null : (body.tools ?? null);
    const promptIds = state.model.encodeChat(body.messages.map(readMessage), tools);
    const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? null;
    const topLogProbs = body.logprobs ? (body.top_logprobs ?? 0) : null;
    const grammar = grammarOf(body.response_format, state);
    const jobs = textJobs(body, { promptIds, adapter, maxTokens, topLogProbs, grammar }, state);
    const head = { id: `chatcmpl-${state.newId()}`, created: state.seconds(), model: body.model };
    const { tokenizer } = state.model.parts;
    const release = state.places.take(jobs);
    if (body.stream) {
      return sendEvents(context, (send, signal) => stream(body, state, jobs, head, send, signal), release);
    }
    const texts = jobs.map(() => ({ text: "", logProbs: [] as unknown[] }));
    const ends = await writeTexts(state, jobs, context.req.raw.signal, {
      onPiece: ({ text, token, index }) => {
        const own = texts[index] as (typeof texts)[number];
        own.text += text;
        const scored = chatLogProbs(tokenizer, token);
        if (scored) own.logProbs.push(scored);
      },
    }).finally(release);
    return context.json({
      ...head,
      object: "chat.completion",
      choices: ends.map((end, index) => ({
        index,
        message: { role: "assistant", content: texts[index]?.text ?? "", refusal: null },
        logprobs: topLogProbs === null ? null : { content: texts[index]?.logProbs, refusal: null },
        finish_reason: finishReasonOf(end.finishReason),
      })),
      usage: usageOf(ends),
    });
  },
});

/** Sends the pieces of all texts as they come. */
async function stream(
  body: ChatRequest,
  state: ServerState,
  jobs: ReturnType<typeof textJobs>,
  head: Readonly<Record<"id" | "model", string>> & Readonly<Record<"created", number>>,
  send: (event: object) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const object = "chat.completion.chunk";
  const withUsage = body.stream_options?.include_usage === true;
  const chunk = (index: number, delta: object, logprobs: unknown, finish_reason: string | null): object => ({
    ...head,
    object,
    choices: [{ index, delta, logprobs, finish_reason }],
    ...(withUsage ? { usage: null } : {}),
  });
  for (const index of jobs.keys()) await send(chunk(index, { role: "assistant", content: "" }, null, null));
  const ends = await writeTexts(state, jobs, signal, {
    onPiece: async ({ text, token, index }) => {
      const scored = chatLogProbs(state.model.parts.tokenizer, token);
      if (text === "" && !scored) return;
      await send(chunk(index, { content: text }, scored && { content: [scored], refusal: null }, null));
    },
    onEnd: (index, { finishReason }) => send(chunk(index, {}, null, finishReasonOf(finishReason))),
  });
  if (withUsage) await send({ ...head, object, choices: [], usage: usageOf(ends) });
}

/** A message as templates read it. @throws ApiError 400 for parts that are no text */
export function readMessage(message: ChatRequest["messages"][number], place: number): Message {
  const { content } = message;
  if (!Array.isArray(content)) return { ...message, content: content ?? "" };
  const parts = content.map((part) => {
    const { type, text } = Object(part) as { type?: unknown; text?: unknown };
    if (type === "text" && typeof text === "string") return text;
    throw new ApiError(
      400,
      `messages[${place}].content has a part of type ${JSON.stringify(type)}, expected text`,
      { code: "invalid_value", param: `messages[${place}].content` },
    );
  });
  return { ...message, content: parts.join("") };
}
