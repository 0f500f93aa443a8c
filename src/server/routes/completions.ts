/** @file POST /v1/completions: writes texts that continue prompts. */
import type { TextJob } from "../../engine/serving-model.ts";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import { COMPLETION_ANSWER, COMPLETION_EVENT } from "../answers/text-answers.ts";
import { grammarOf } from "../texts/response-format.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { type EventWriter, sendEvents } from "../sse.ts";
import { inTurns } from "../texts/in-turns.ts";
import { StreamUsage } from "../texts/stream-usage.ts";
import { fewestInRoom, finishReasonOf, requireRoom, textJobs, usageOf } from "../texts/text-job.ts";
import { type Prompt, ToldText } from "../texts/told-text.ts";
import { REFUSED_IN_COMPLETIONS, refuse } from "../unserved-keys.ts";
import { COMPLETION_REQUEST, type CompletionRequest } from "../wire.ts";
import { type NumberedPiece, writeTexts } from "../texts/write-texts.ts";

/** Most new tokens if a request does not say how many: OpenAI's own default. */
const USUAL_TOKENS = 16;

const NO_BEST_OF = { best_of: "texts are not compared here: send n instead" };

export const completions = defineRoute({
  method: "post",
  path: "/v1/completions",
  summary: "Continue a text",
  access: "read",
  body: COMPLETION_REQUEST,
  answer: { whole: COMPLETION_ANSWER, events: COMPLETION_EVENT },
  handle: async ({ body, context, state, resumed }) => {
    refuse(body, REFUSED_IN_COMPLETIONS);
    if (body.best_of != null && body.best_of !== (body.n ?? 1)) refuse(body, NO_BEST_OF);
    const adapter = await state.models.writerOf(body.model);
    const maxTokens = body.max_tokens ?? null;
    const prompts = await readPrompts(body.prompt, maxTokens, state);
    const shared = {
      adapter,
      maxTokens,
      usualTokens: USUAL_TOKENS,
      topLogProbs: body.logprobs ?? null,
      grammar: await grammarOf(body.response_format, state),
      writtenIds: resumed?.written_ids,
    };
    const asked = prompts.map(({ ids: promptIds, param }) =>
      textJobs(body, { ...shared, promptIds, param }, state),
    );
    const texts = asked.flatMap((own, i) => own.map(() => new ToldText(body, prompts[i]!, state)));
    const jobs = asked.flat().map((job, i) => ({ ...job, goesOn: true, ...texts[i]?.reading }));
    const head = {
      id: resumed?.id ?? `cmpl-${state.newId()}`,
      object: "text_completion",
      created: resumed?.created ?? state.seconds(),
      model: body.model,
    };
    const completion = { body, state, jobs, texts, numPrompts: prompts.length, head };
    const release = state.places.take(jobs);
    if (body.stream) {
      const write: EventWriter = (send, signal) => stream(completion, send, signal);
      return sendEvents(context, state, { write, done: release });
    }
    return context.json(await complete(completion, context.req.raw.signal).finally(release));
  },
});

interface AskedCompletion {
  readonly body: CompletionRequest;
  readonly state: ServerState;
  readonly jobs: readonly TextJob[];
  /** The texts in the form in which they are sent. */
  readonly texts: readonly ToldText[];
  readonly numPrompts: number;
  /** Fields of all chunks. */
  readonly head: { readonly id: string; readonly created: number };
}

/** Writes all texts, then answers with the complete texts. */
async function complete(
  { state, jobs, texts, numPrompts, head }: AskedCompletion,
  signal: AbortSignal,
): Promise<object> {
  const ends = await writeTexts(state, { jobs }, signal, {
    onPiece: (piece) => texts[piece.index]!.add(piece),
  });
  return {
    ...head,
    choices: ends.map((end, index) => ({
      index,
      ...texts[index]!.take(),
      finish_reason: finishReasonOf(end.finishReason),
    })),
    usage: usageOf(ends, numPrompts),
  };
}

/** Sends the pieces of all texts as they come. */
async function stream(
  { body, state, jobs, texts, numPrompts, head }: AskedCompletion,
  send: (event: object) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const usage = new StreamUsage(body, jobs, numPrompts);
  const tell = async (index: number, reason: string | null): Promise<void> => {
    const own = texts[index]!;
    if (!own.hasText && reason === null) return;
    const choices = [{ index, ...own.take(), finish_reason: reason }];
    await send({ ...head, choices, ...usage.of(index) });
  };
  const told = {
    onPiece: async (piece: NumberedPiece): Promise<void> => {
      const own = texts[piece.index]!;
      own.add(piece);
      usage.add(piece);
      if (!piece.told) await tell(piece.index, null);
      else own.take();
    },
    onEnd: (index: number, end: ServeEnd) => tell(index, finishReasonOf(end.finishReason)),
  };
  const { id, created } = head;
  const request = { id, created, path: completions.path, body: { ...body, seed: jobs[0]?.seed } };
  const ends = await writeTexts(state, { jobs, request }, signal, told);
  const last = usage.atEnd(ends);
  if (last) await send({ ...head, ...last });
}

async function readPrompts(
  prompt: CompletionRequest["prompt"],
  maxTokens: number | null,
  state: ServerState,
): Promise<Prompt[]> {
  const { model } = state;
  const { tokenizer } = model.parts;
  const isOne = typeof prompt === "string" || typeof prompt[0] === "number";
  const list = (isOne ? [prompt] : prompt) as (string | number[])[];
  return await inTurns(list, (each, i) => {
    const param = isOne ? "prompt" : `prompt[${i}]`;
    if (typeof each === "string") {
      const ids = model.encodePrompt(each, fewestInRoom({ param, maxTokens }, state));
      // Special tokens that the tokenizer puts before the prompt are not shown.
      const shownIds = new Set(ids.slice(tokenizer.prefixIds.length));
      return { ids, text: each, shownIds, param };
    }
    // Checked before decoding, which would take long for millions of ids.
    requireRoom({ promptIds: each, param, maxTokens }, state);
    return { ids: each, text: tokenizer.decode(each, { skipSpecialTokens: true }), param };
  });
}
