/** @file POST /v1/completions: texts that go on from prompts. */
import type { TextJob } from "../../engine/serving-model.ts";
import type { ScoredToken } from "../../engine/token-log-probs.ts";
import { grammarOf } from "../response-format.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { type EventWriter, sendEvents } from "../sse.ts";
import { finishReasonOf, textJobs, usageOf } from "../text-job.ts";
import { REFUSED_IN_COMPLETIONS, refuse } from "../unserved-keys.ts";
import { COMPLETION_REQUEST, type CompletionRequest } from "../wire.ts";
import { type NumberedPiece, writeTexts } from "../write-texts.ts";

/** New tokens unless a request says how many: OpenAI's own default. */
const DEFAULT_TOKENS = 16;

const NO_BEST_OF = { best_of: "texts are not compared here: send n instead" };

export const completions = defineRoute({
  method: "post",
  path: "/v1/completions",
  summary: "Go on from a text",
  access: "read",
  body: COMPLETION_REQUEST,
  handle: async ({ body, context, state }) => {
    refuse(body, REFUSED_IN_COMPLETIONS);
    if (body.best_of != null && body.best_of !== (body.n ?? 1)) refuse(body, NO_BEST_OF);
    const adapter = state.adapterOf(body.model);
    const prompts = readPrompts(body.prompt, state);
    const maxTokens = body.max_tokens ?? DEFAULT_TOKENS;
    const settings = { adapter, maxTokens, topLogProbs: body.logprobs ?? null };
    const grammar = grammarOf(body.response_format, state);
    const jobs = prompts.flatMap(({ ids: promptIds }) =>
      textJobs(body, { ...settings, promptIds, grammar }, state),
    );
    const numEach = jobs.length / prompts.length;
    const echoOf = (index: number): string =>
      body.echo === true ? (prompts[Math.floor(index / numEach)]?.text ?? "") : "";
    const head = {
      id: `cmpl-${state.newId()}`,
      object: "text_completion",
      created: state.seconds(),
      model: body.model,
    };
    const release = state.places.take(jobs);
    if (body.stream) {
      const write: EventWriter = async (send, signal) => {
        const choice = (index: number, text: string, logprobs: unknown, reason: string | null): object => ({
          ...head,
          choices: [{ index, text, logprobs, finish_reason: reason }],
        });
        for (const index of jobs.keys()) {
          if (body.echo === true) await send(choice(index, echoOf(index), null, null));
        }
        const ends = await writeTexts(state, jobs, signal, {
          onPiece: async (piece) => {
            const logProbs = new LogProbs(state);
            logProbs.add(piece);
            if (piece.text !== "") await send(choice(piece.index, piece.text, logProbs.told(), null));
          },
          onEnd: (index, end) => send(choice(index, "", null, finishReasonOf(end.finishReason))),
        });
        if (body.stream_options?.include_usage) {
          await send({ ...head, choices: [], usage: usageOf(ends, prompts.length) });
        }
      };
      return sendEvents(context, write, { onError: state.onError, done: release });
    }
    const texts = jobs.map((_: TextJob, index) => ({ text: echoOf(index), logProbs: new LogProbs(state) }));
    const ends = await writeTexts(state, jobs, context.req.raw.signal, {
      onPiece: (piece) => {
        const own = texts[piece.index] as (typeof texts)[number];
        own.text += piece.text;
        own.logProbs.add(piece);
      },
    }).finally(release);
    return context.json({
      ...head,
      choices: ends.map((end, index) => ({
        index,
        text: texts[index]?.text,
        logprobs: texts[index]?.logProbs.told() ?? null,
        finish_reason: finishReasonOf(end.finishReason),
      })),
      usage: usageOf(ends, prompts.length),
    });
  },
});

interface Prompt {
  readonly ids: readonly number[];
  readonly text: string;
}

function readPrompts(prompt: CompletionRequest["prompt"], { model }: ServerState): Prompt[] {
  const { tokenizer } = model.parts;
  const list = typeof prompt === "string" || typeof prompt[0] === "number" ? [prompt] : prompt;
  return (list as (string | number[])[]).map((each) =>
    typeof each === "string"
      ? { ids: model.encodePrompt(each), text: each }
      : { ids: each, text: tokenizer.decode(each, { skipSpecialTokens: true }) },
  );
}

/** Log-probabilities in the older form: lists beside one another. */
class LogProbs {
  readonly #state: ServerState;
  readonly #tokens: string[] = [];
  readonly #values: number[] = [];
  readonly #top: Record<string, number>[] = [];

  constructor(state: ServerState) {
    this.#state = state;
  }

  add({ token }: NumberedPiece): void {
    if (!token?.logProbs || token.isStop) return;
    const { tokenizer } = this.#state.model.parts;
    const textOf = ({ id }: ScoredToken): string => tokenizer.decode([id]);
    this.#tokens.push(textOf(token.logProbs));
    this.#values.push(token.logProbs.logProb);
    this.#top.push(Object.fromEntries(token.logProbs.top.map((each) => [textOf(each), each.logProb])));
  }

  told(): object | null {
    if (this.#tokens.length === 0) return null;
    return { tokens: this.#tokens, token_logprobs: this.#values, top_logprobs: this.#top };
  }
}
