/** @file Turns a conversation into texts to write, and makes the readers of their answers. */
import { mapMarks } from "../../engine/answers/thought-forms.ts";
import { ThoughtReader } from "../../engine/answers/thought-reader.ts";
import { markText } from "../../engine/tool-calls/tool-format.ts";
import type { TextJob } from "../../engine/serving-model.ts";
import { invalidValue } from "../api-error.ts";
import type { ResumedRequest } from "../running-requests.ts";
import type { ServerState } from "../server-state.ts";
import type { ChatRequest } from "../wire.ts";
import { ChatAnswer } from "./chat-answer.ts";
import { readMessage } from "./chat-messages.ts";
import { fewestInRoom, textJobs } from "./text-job.ts";
import { readToolUse } from "./tool-use.ts";

export interface ChatTexts {
  readonly jobs: readonly TextJob[];
  /** Makes the reader of one answer. */
  readonly newAnswer: () => ChatAnswer;
}

/**
 * Makes the texts of a chat; `param`: the key of the request with its messages; `newId`: makes ids of calls. @throws ApiError
 * 400, 404
 */
export async function chatTexts(
  body: ChatRequest,
  {
    param,
    resumed,
    newId,
  }: { readonly param: string; readonly resumed?: ResumedRequest | undefined; readonly newId?: () => string },
  state: ServerState,
): Promise<ChatTexts> {
  const adapter = await state.models.writerOf(body.model);
  const use = await readToolUse(body, state);
  const maxKey = body.max_completion_tokens == null ? "max_tokens" : "max_completion_tokens";
  const maxTokens = body[maxKey] ?? null;
  const promptIds = state.model.encodeChat(
    body.messages.map(readMessage),
    { tools: use.tools, variables: body.chat_template_kwargs ?? {} },
    fewestInRoom({ param, maxTokens, maxKey }, state),
  );
  requireLogProbs(body);
  const topLogProbs = body.logprobs ? (body.top_logprobs ?? 0) : null;
  const form = state.model.thoughtForm;
  // A text that follows a grammar from its first token on has no room for thoughts.
  const hasBegun = use.grammar === null && state.model.hasBegunThought(promptIds);
  const { specialTokens } = state.model.parts.tokenizer;
  const inBytes = form && mapMarks(form, (mark) => markText(mark, specialTokens));
  const begun = inBytes ? use.begun?.behind(() => new ThoughtReader(inBytes, { hasBegun })) : use.begun;
  const held = {
    grammar: use.grammar ?? begun ?? null,
    shown: [...(use.format?.tokens ?? []), ...(form?.tokens ?? [])],
  };
  const written = { writtenIds: resumed?.written_ids, writtenLogProbs: resumed?.written_log_probs };
  const jobs = textJobs(
    body,
    { promptIds, param, adapter, maxTokens, topLogProbs, ...written, ...held },
    state,
  );
  return {
    jobs,
    newAnswer: () => new ChatAnswer(use, form && new ThoughtReader(form, { hasBegun }), newId ?? state.newId),
  };
}

/** @throws ApiError 400 for likeliest tokens without log-probabilities */
function requireLogProbs({ logprobs, top_logprobs: top }: ChatRequest): void {
  if (top == null || logprobs === true) return;
  throw invalidValue("top_logprobs needs logprobs to be true", "top_logprobs");
}
