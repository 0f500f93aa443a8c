/** @file A text while it is written: its ids, the grammar that it follows, and how its next token is drawn. */
import { notFinite } from "../not-finite.ts";
import { Random } from "../../random.ts";
import type { HeldAdapter } from "../adapters/held-adapter.ts";
import type { Sequence } from "../cache/sequence.ts";
import type { GrammarCursor } from "../grammar/token-grammar.ts";
import { NO_PENALTIES, applyPenalties } from "../sampling/penalties.ts";
import { GREEDY, sampleToken } from "../sampling/sampler.ts";
import { tokenLogProbs } from "../sampling/token-log-probs.ts";
import type { CheckedRequest, FinishReason, ServeEnd, ServedToken } from "./serve-request.ts";
import { TokenQueue } from "./token-queue.ts";

export class ActiveText {
  readonly request: CheckedRequest;
  /** Starts with the ids of the prompt; written ids are added. */
  readonly sequence: Sequence;
  readonly held: HeldAdapter | null;
  /** Most ids of prompt and text together. */
  readonly maxLength: number;
  /** Tokens on their way to the reader of the text. */
  readonly queue = new TokenQueue<ServedToken, ServeEnd>();
  /** When its first step began. */
  startedMs: number | null = null;
  readonly #gapsMs: number[] = [];
  #drawnMs: number | null = null;
  readonly #random: Random;
  readonly #cursor: GrammarCursor | null;

  constructor(
    request: CheckedRequest,
    { sequence, held, maxLength }: Pick<ActiveText, "sequence" | "held" | "maxLength">,
  ) {
    this.request = request;
    this.sequence = sequence;
    this.held = held;
    this.maxLength = maxLength;
    this.#random = new Random(request.seed ?? 0);
    this.#cursor = request.grammar?.begin() ?? null;
    // Written ids were drawn elsewhere: skips their draws and follows them in the grammar.
    for (const id of request.writtenIds ?? []) {
      sequence.ids.push(id);
      if ((request.sampling ?? GREEDY).temperature > 0) this.#random.uniform();
      this.#cursor?.accept(id);
    }
  }

  /**
   * Draws the next token from logits [V], which it changes, and sends it; returns why the text ends with it, null: it goes on.
   * @throws FailedError "engine/nan" for logits that are no numbers; as the grammar
   */
  draw(logits: Float32Array): FinishReason | null {
    if (!Number.isFinite(logits[0])) {
      throw notFinite("continue a text");
    }
    const { sampling = GREEDY, stopIds = [], topLogProbs, onLogits } = this.request;
    onLogits?.(logits);
    const raw = topLogProbs === undefined ? logits : Float32Array.from(logits);
    this.#restrict(logits, stopIds);
    const id = sampleToken(logits, sampling, this.#random);
    this.sequence.ids.push(id);
    const isStop = stopIds.includes(id);
    const logProbs = topLogProbs === undefined ? null : tokenLogProbs(raw, id, topLogProbs);
    this.queue.push({ id, isStop, logProbs });
    if (!isStop) this.#cursor?.accept(id);
    if (isStop || this.#cursor?.isDone) return "stop";
    return this.sequence.ids.length >= this.maxLength ? "length" : null;
  }

  /** Notes when a token was drawn. */
  drawn(nowMs: number): void {
    this.sequence.firstMs ??= nowMs;
    if (this.#drawnMs !== null) this.#gapsMs.push(nowMs - this.#drawnMs);
    this.#drawnMs = nowMs;
  }

  /** Leaves of logits [V] what may follow, and as likely as is asked for. */
  #restrict(logits: Float32Array, stopIds: readonly number[]): void {
    const { penalties = NO_PENALTIES, minNewTokens = 0 } = this.request;
    const { ids, numPrompt } = this.sequence;
    if (penalties !== NO_PENALTIES) applyPenalties(logits, penalties, ids, numPrompt);
    if (!this.#cursor && ids.length - numPrompt < minNewTokens) {
      for (const id of stopIds) if (id < logits.length) logits[id] = -Infinity;
    }
    this.#cursor?.restrict(logits, stopIds);
  }

  /** Reports the end of the text to its reader, with its times. */
  end(finishReason: FinishReason, nowMs: number): void {
    const { submittedMs, firstMs, numPrompt, numNew, numShared } = this.sequence;
    this.queue.end({
      finishReason,
      numPromptTokens: numPrompt,
      numNewTokens: numNew,
      numCachedTokens: numShared,
      queueMs: (this.startedMs ?? nowMs) - submittedMs,
      firstTokenMs: (firstMs ?? nowMs) - submittedMs,
      totalMs: nowMs - submittedMs,
      gapsMs: this.#gapsMs,
    });
  }
}
