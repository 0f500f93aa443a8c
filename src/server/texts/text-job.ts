/** @file Turns the settings of a request into texts to write, and computes their usage. */
import type { TextJob } from "../../engine/serving-model.ts";
import type { Grammar } from "../../engine/grammar/token-grammar.ts";
import type { FinishReason, ServeEnd } from "../../engine/serving/serve-request.ts";
import type { TokenLogProbs } from "../../engine/sampling/token-log-probs.ts";
import { ApiError, invalidValue } from "../api-error.ts";
import type { ServerState } from "../server-state.ts";
import type { TextSettings } from "../wire.ts";

/** OpenAI's seeds have 64 bits, more than JavaScript numbers can represent exactly. */
const MAX_SEED = 2 ** 52;

/** What a text continues, and how many tokens it may have. */
interface TextPrompt {
  readonly promptIds: readonly number[];
  /** The key of the request with the prompt. */
  readonly param: string;
  readonly adapter: string | null;
  /** null: as many as there is room for, up to `usualTokens`. */
  readonly maxTokens: number | null;
  readonly usualTokens?: number;
  readonly topLogProbs: number | null;
  /** The grammar that it must follow; null: none. */
  readonly grammar: Grammar | null;
  /** Special tokens that are part of the text. */
  readonly shown?: readonly string[];
  /** New ids that another server has already written. */
  readonly writtenIds?: readonly number[] | undefined;
  readonly writtenLogProbs?: readonly (TokenLogProbs | null)[] | undefined;
}

/** Ids that end a text without a grammar. */
function stopIdsOf(
  { ignore_eos: ignoresOwn, stop_token_ids: own }: TextSettings,
  { model }: ServerState,
): number[] {
  return [...(ignoresOwn ? [] : model.stopIds), ...(own ?? [])];
}

/** The texts that a request asks for, with consecutive seeds. @throws ApiError 400 when there is no room after the prompt */
export function textJobs(settings: TextSettings, prompt: TextPrompt, state: ServerState): TextJob[] {
  const { promptIds, param, adapter, topLogProbs, grammar, shown = [] } = prompt;
  const { maxTokens, usualTokens = Infinity, writtenIds, writtenLogProbs } = prompt;
  requireIds(promptIds, param, state);
  requireRoom(prompt, state);
  requireStream(settings);
  const room = state.model.maxTokens - promptIds.length;
  const share =
    Math.floor((state.limits.maxRequestTokens ?? Infinity) / (settings.n ?? 1)) - promptIds.length;
  const stop = settings.stop ?? [];
  const seed = settings.seed ?? state.newSeed();
  const maxNewTokens = maxTokens ?? Math.max(1, Math.min(room, share, usualTokens));
  requireWritten(prompt, maxNewTokens, state);
  const job: TextJob = {
    promptIds,
    adapter,
    maxNewTokens,
    minNewTokens: settings.min_tokens ?? 0,
    stopIds: grammar === null ? stopIdsOf(settings, state) : state.model.stopIds,
    stop: typeof stop === "string" ? [stop] : stop,
    sampling: {
      temperature: settings.temperature ?? 1,
      // The least share keeps only the likeliest token.
      topP: Math.max(Number.MIN_VALUE, settings.top_p ?? 1),
      topK: Math.max(0, settings.top_k ?? 0),
      minP: settings.min_p ?? 0,
    },
    penalties: {
      repetition: settings.repetition_penalty ?? 1,
      presence: settings.presence_penalty ?? 0,
      frequency: settings.frequency_penalty ?? 0,
      bias: readBias(settings.logit_bias ?? {}, state),
    },
    grammar,
    shown,
    // A request with a seed must give the same text again, whatever else is being written.
    isBatchInvariant: typeof settings.seed === "number",
    ...(topLogProbs === null ? {} : { topLogProbs }),
    ...(writtenIds && { writtenIds }),
    ...(writtenLogProbs && { writtenLogProbs }),
  };
  return Array.from({ length: settings.n ?? 1 }, (_, i) => ({ ...job, seed: Math.abs(seed % MAX_SEED) + i }));
}

/** @throws ApiError 400 for a prompt that leaves no room for the new tokens */
export function requireRoom(
  { promptIds, ...asked }: Pick<TextPrompt, "promptIds" | "param" | "maxTokens">,
  state: ServerState,
): void {
  requireRoomFor(promptIds.length, `${promptIds.length}`, asked, state);
}

/** What is known of a text before its prompt is encoded; `maxKey`: the key with `maxTokens`. */
type AskedRoom = Pick<TextPrompt, "param" | "maxTokens"> & { readonly maxKey?: string };

/** Makes a function that refuses a prompt by the least number of its tokens, before it is encoded. */
export function fewestInRoom(asked: AskedRoom, state: ServerState): (fewest: number) => void {
  return (fewest) => requireRoomFor(fewest, `at least ${fewest}`, asked, state);
}

function requireRoomFor(
  numTokens: number,
  told: string,
  { param, maxTokens, maxKey = "max_tokens" }: AskedRoom,
  { model }: ServerState,
): void {
  if (numTokens + (maxTokens ?? 1) <= model.maxTokens) return;
  const code = "context_length_exceeded";
  if (maxTokens !== null && maxTokens > model.maxTokens) {
    const message = `${maxTokens} new tokens are requested, expected at most ${model.maxTokens} with the prompt`;
    throw new ApiError(400, code, message, { param: maxKey });
  }
  const asked = maxTokens === null ? "" : ` and ${maxTokens} new ones are requested`;
  const most =
    maxTokens === null ? `${model.maxTokens - 1}, so that one may follow` : `${model.maxTokens} in all`;
  const message = `The prompt has ${told} tokens${asked}, expected at most ${most}`;
  throw new ApiError(400, code, message, { param });
}

/** @throws ApiError 400 for settings of a stream without a stream */
function requireStream({ stream, stream_options: options }: TextSettings): void {
  if (!options || stream === true) return;
  const found = "stream_options is for streams only: send stream true, or leave it out";
  throw invalidValue(found, "stream_options");
}

/** Checks the ids of a prompt against the vocabulary. @throws ApiError 400 that names the key */
export function requireIds(ids: readonly number[], param: string, { model }: ServerState): void {
  const { vocabSize, numOutputs } = model.engine.session.model;
  // The outputs of a class head are not the vocabulary.
  const last = (vocabSize ?? numOutputs) - 1;
  const foreign = ids.find((id) => id < 0 || id > last);
  const found = ids.length === 0 ? "is empty" : `has the id ${foreign}, expected ids from 0 to ${last}`;
  if (ids.length === 0 || foreign !== undefined) {
    throw invalidValue(`${param} ${found}`, param);
  }
}

/** Checks what another server claims to have written. @throws ApiError 400 that names the key */
function requireWritten(
  { writtenIds = [], writtenLogProbs }: Pick<TextPrompt, "writtenIds" | "writtenLogProbs">,
  maxNewTokens: number,
  state: ServerState,
): void {
  const count = writtenIds.length;
  if (count > maxNewTokens) {
    const most = `${maxNewTokens}, as many new tokens as the request may have`;
    throw invalidValue(`written_ids has ${count} ids, expected at most ${most}`, "written_ids");
  }
  if (count > 0) requireIds(writtenIds, "written_ids", state);
  if (writtenLogProbs === undefined || writtenLogProbs.length === count) return;
  const found = `written_log_probs has ${writtenLogProbs.length}, expected one for each of ${count} written_ids`;
  throw invalidValue(found, "written_log_probs");
}

/** @throws ApiError 400 for an id that is not in the vocabulary */
function readBias(given: Readonly<Record<string, number>>, { model }: ServerState): Map<number, number> {
  const { numOutputs } = model.engine.session.model;
  const bias = new Map(Object.entries(given).map(([id, value]) => [Number(id), value]));
  const foreign = [...bias.keys()].find((id) => id >= numOutputs);
  if (foreign === undefined) return bias;
  throw invalidValue(
    `logit_bias has the id ${foreign}, expected ids from 0 to ${numOutputs - 1}`,
    "logit_bias",
  );
}

/** The finish reason of a text, for clients. */
export function finishReasonOf(reason: FinishReason): string {
  return reason === "aborted" ? "abort" : reason;
}

/** Tokens of a request over all its texts; each prompt is counted once. */
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
