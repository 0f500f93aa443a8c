/** @file From the settings of a request to a text to write, and to what is told of its tokens. */
import type { TextJob } from "../engine/serving-model.ts";
import type { Grammar } from "../engine/grammar/token-grammar.ts";
import type { FinishReason, ServeEnd } from "../engine/serve-request.ts";
import { ApiError } from "./api-error.ts";
import type { ServerState } from "./server-state.ts";
import type { TextSettings } from "./wire.ts";

/** What a text is written after, and how many tokens it may have. */
export interface TextPrompt {
  readonly promptIds: readonly number[];
  readonly adapter: string | null;
  /** Null: as many as there is room for. */
  readonly maxTokens: number | null;
  readonly topLogProbs: number | null;
  /** What it is held to; null: nothing. */
  readonly grammar: Grammar | null;
  /** Special tokens that are part of the text. */
  readonly shown?: readonly string[];
}

/** The texts that a request asks for, with seeds that follow one another. @throws ApiError 400 when nothing fits behind the prompt */
export function textJobs(
  settings: TextSettings,
  { promptIds, adapter, maxTokens, topLogProbs, grammar, shown = [] }: TextPrompt,
  state: ServerState,
): TextJob[] {
  const room = state.model.maxTokens - promptIds.length;
  const share =
    Math.floor((state.limits.maxRequestTokens ?? Infinity) / (settings.n ?? 1)) - promptIds.length;
  if (room < 1 || (maxTokens ?? 1) > room) {
    const asked = maxTokens === null ? "" : ` and ${maxTokens} new ones are asked for`;
    throw new ApiError(
      400,
      `The prompt has ${promptIds.length} tokens${asked}, expected at most ${state.model.maxTokens} in all`,
      { code: "context_length_exceeded", param: "messages" },
    );
  }
  const stop = settings.stop ?? [];
  const seed = settings.seed ?? state.newSeed();
  const job: TextJob = {
    promptIds,
    adapter,
    maxNewTokens: maxTokens ?? Math.max(1, Math.min(room, share)),
    stop: typeof stop === "string" ? [stop] : stop,
    sampling: {
      temperature: settings.temperature ?? 1,
      topP: settings.top_p ?? 1,
      topK: Math.max(0, settings.top_k ?? 0),
      minP: settings.min_p ?? 0,
    },
    penalties: {
      repetition: settings.repetition_penalty ?? 1,
      presence: settings.presence_penalty ?? 0,
      frequency: settings.frequency_penalty ?? 0,
      bias: new Map(Object.entries(settings.logit_bias ?? {}).map(([id, value]) => [Number(id), value])),
    },
    grammar,
    shown,
    ...(topLogProbs === null ? {} : { topLogProbs }),
  };
  return Array.from({ length: settings.n ?? 1 }, (_, i) => ({ ...job, seed: Math.abs(seed) + i }));
}

/** What clients are told of how a text ended. */
export function finishReasonOf(reason: FinishReason): string {
  return reason === "aborted" ? "abort" : reason;
}

/** Tokens of a request, over all of its texts; the prompt is counted once. */
export function usageOf(ends: readonly ServeEnd[], numPrompts = 1): Record<string, unknown> {
  const sum = (of: (end: ServeEnd) => number): number => ends.reduce((total, end) => total + of(end), 0);
  const perPrompt = Math.max(1, ends.length / numPrompts);
  const prompt = Math.round(sum((end) => end.numPromptTokens) / perPrompt);
  const completion = sum((end) => end.numNewTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: Math.round(sum((end) => end.numCachedTokens) / perPrompt) },
  };
}
