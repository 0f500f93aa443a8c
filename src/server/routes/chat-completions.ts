/** @file POST /v1/chat/completions: the assistant's next turn of a conversation. */
import { CHAT_ANSWER, CHAT_EVENT } from "../answers/text-answers.ts";
import { chatLogProbs } from "../texts/log-probs.ts";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import type { ResumedRequest } from "../running-requests.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { type EventWriter, sendEvents } from "../sse.ts";
import { type ChatTexts, chatTexts } from "../texts/chat-texts.ts";
import { StreamUsage } from "../texts/stream-usage.ts";
import { usageOf } from "../texts/text-job.ts";
import { REFUSED_IN_CHATS, refuse } from "../unserved-keys.ts";
import { CHAT_REQUEST, type ChatRequest } from "../wire.ts";
import { type NumberedPiece, writeTexts } from "../texts/write-texts.ts";

export const chatCompletions = defineRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Generate the assistant's next turn of a conversation",
  access: "read",
  body: CHAT_REQUEST,
  answer: { whole: CHAT_ANSWER, events: CHAT_EVENT },
  handle: async ({ body, context, state, resumed }) => {
    refuse(body, REFUSED_IN_CHATS);
    const texts = await chatTexts(body, { param: "messages", resumed }, state);
    const { id = `chatcmpl-${state.newId()}`, created = state.seconds() } = resumed ?? {};
    const chat = { ...texts, body, state, head: { id, created, model: body.model }, resumed };
    const release = state.places.take(texts.jobs);
    if (body.stream) {
      const write: EventWriter = (send, signal) => stream(chat, send, signal);
      return sendEvents(context, state, { write, done: release });
    }
    return context.json(await complete(chat, context.req.raw.signal).finally(release));
  },
});

interface AskedChat extends ChatTexts {
  readonly body: ChatRequest;
  readonly state: ServerState;
  /** Fields of all chunks. */
  readonly head: { readonly id: string; readonly created: number; readonly model: string };
  /** The state of a stream that began in another server. */
  readonly resumed: ResumedRequest | undefined;
}

/** Writes all texts, then answers with the complete texts. */
async function complete(
  { body, state, jobs, newAnswer, head }: AskedChat,
  signal: AbortSignal,
): Promise<object> {
  const answers = jobs.map(() => ({ answer: newAnswer(), logProbs: [] as unknown[] }));
  const ends = await writeTexts(state, { jobs }, signal, {
    onPiece: ({ text, token, index }) => {
      const own = answers[index]!;
      own.answer.push(text);
      const scored = chatLogProbs(state.model.parts.tokenizer, token);
      if (scored) own.logProbs.push(scored);
    },
  });
  return {
    ...head,
    object: "chat.completion",
    choices: ends.map(({ finishReason }, index) => {
      const { answer, logProbs } = answers[index]!;
      answer.end();
      return {
        index,
        message: answer.message,
        logprobs: body.logprobs ? { content: logProbs, refusal: null } : null,
        finish_reason: answer.finishReason(finishReason),
      };
    }),
    usage: usageOf(ends),
  };
}

/** Sends the pieces of all texts as they come. */
async function stream(
  { body, state, jobs, newAnswer, head, resumed }: AskedChat,
  send: (event: object) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const object = "chat.completion.chunk";
  const usage = new StreamUsage(body, jobs);
  const chunk = (index: number, delta: object, logprobs: unknown, finish_reason: string | null): object => ({
    ...head,
    object,
    choices: [{ index, delta, logprobs, finish_reason }],
    ...usage.of(index),
  });
  const answers = jobs.map(newAnswer);
  if (!resumed)
    for (const [index, { opening }] of answers.entries()) await send(chunk(index, opening, null, null));
  const tells = {
    onPiece: async (piece: NumberedPiece): Promise<void> => {
      const { text, token, index, told } = piece;
      usage.add(piece);
      const scored = chatLogProbs(state.model.parts.tokenizer, token);
      const answer = answers[index]!;
      const delta = answer.push(text);
      if ((!delta && !scored) || told) return;
      const { content } = answer.opening;
      await send(chunk(index, delta ?? { content }, scored && { content: [scored], refusal: null }, null));
    },
    onEnd: async (index: number, { finishReason }: ServeEnd): Promise<void> => {
      const answer = answers[index]!;
      // The held back text of a text that continues elsewhere is sent there.
      const last = finishReason === "aborted" ? null : answer.end();
      if (last) await send(chunk(index, last, null, null));
      await send(chunk(index, {}, null, answer.finishReason(finishReason)));
    },
  };
  const { id, created } = head;
  const request = { id, created, path: chatCompletions.path, body: { ...body, seed: jobs[0]?.seed } };
  const ends = await writeTexts(state, { jobs, request }, signal, tells);
  const last = usage.atEnd(ends);
  if (last) await send({ ...head, object, ...last });
}
