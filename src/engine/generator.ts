/**
 * @file Writes tokens after a prompt: prefill in chunks, then one token a step, all through the blocks' cached programs.
 *
 * The cache stays from one call to the next: a prompt that begins with the same ids as the last sequence (a chat that
 * goes on) runs only what is new.
 */
import type { Adapter } from "../peft/attach.ts";
import { Random } from "../random.ts";
import { PassContext } from "../run/context.ts";
import { Embedding } from "../run/embedding.ts";
import { Head } from "../run/head.ts";
import type { Session } from "../run/session.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { BlockStack } from "./block-stack.ts";
import { KvCache } from "./kv-cache.ts";
import { PREFILL_CHUNK, checkPrompt, continuation } from "./prompt.ts";
import { requireText } from "./require-text.ts";
import { GREEDY, type SamplingOptions, sampleToken } from "./sampler.ts";

/** What a generator works with. `adapter` null: the base alone. */
export interface GeneratorParts {
  /** With weights held in float32: dequantizing every block for every token would take longer than running it. */
  readonly session: Session;
  readonly adapter: Adapter | null;
}

/** What to write after. */
export interface GenerateRequest {
  readonly promptIds: readonly number[];
  readonly maxNewTokens: number;
  /** Ids that end the text. */
  readonly stopIds?: readonly number[];
  /** The likeliest token unless given. */
  readonly sampling?: SamplingOptions;
  readonly seed?: number;
  readonly signal?: AbortSignal;
  /** Is shown the logits [V] before each choice; they are valid during the call alone. */
  readonly onLogits?: (logits: Float32Array) => void;
}

/** One new token. */
export interface GeneratedToken {
  readonly id: number;
  /** Counts the new tokens from 0. */
  readonly index: number;
  /** Whether it is one of the stop ids, which are no part of the text. */
  readonly isStop: boolean;
}

/** Why generation ended: a stop id, no more tokens allowed (or positions left), or the signal. */
export type FinishReason = "stop" | "length" | "aborted";

/** What generation ended with. */
export interface GenerationEnd {
  readonly finishReason: FinishReason;
  /** Prompt tokens that were still in the cache and did not run again. */
  readonly numReusedTokens: number;
}

/** All of a generation, with its speed. */
export interface Completion extends GenerationEnd {
  /** New ids; a stop id is the last of them. */
  readonly ids: readonly number[];
  /** Time until the first new token, in milliseconds. */
  readonly firstTokenMs: number;
  /** New tokens a second after the first one; with one token or none, over the whole time. */
  readonly tokensPerSecond: number;
}

/** The compiled parts of a generator. */
interface Stages {
  readonly blocks: BlockStack;
  readonly embedding: Embedding;
  readonly head: Head;
}

async function compileStages({ session, adapter }: GeneratorParts): Promise<Stages> {
  return {
    blocks: await BlockStack.create(session, adapter?.forWriting() ?? null),
    embedding: await Embedding.create(session, adapter),
    head: new Head(session, adapter),
  };
}

export class Generator {
  readonly #session: Session;
  /** Of the adapters that it has had; by the session where there was none. */
  readonly #compiled = new WeakMap<Adapter | Session, Promise<Stages>>();
  #stages: Stages;
  readonly #cache: KvCache;
  /** Ids whose keys and values are in the cache. */
  readonly #cachedIds: number[] = [];
  #isBusy = false;

  private constructor({ session, adapter }: GeneratorParts, stages: Stages) {
    this.#session = session;
    this.#stages = stages;
    this.#compiled.set(adapter ?? session, Promise.resolve(stages));
    this.#cache = new KvCache(session.model);
  }

  /** Compiles the programs. @throws UsageError "usage/model" for a model that writes no text */
  static async create(parts: GeneratorParts): Promise<Generator> {
    const { base, model } = parts.session;
    requireText(base.name, model);
    return new Generator(parts, await compileStages(parts));
  }

  /** What it writes with. */
  get session(): Session {
    return this.#session;
  }

  /**
   * Compiles what an adapter needs and runs it once, so that after `switchTo` nothing is compiled or read; what is being
   * written is not disturbed.
   */
  async prepare(adapter: Adapter | null): Promise<void> {
    const cache = new KvCache(this.#session.model);
    const stages = await this.#stagesOf(adapter);
    const x = await this.#forwardChunk(stages, cache, [0], true);
    const logits = await this.#logits(stages, x);
    this.#session.pool.release(x, logits);
  }

  /**
   * Switches to another adapter of the same base, or to the base alone; what was cached is forgotten. Adapters of equal
   * structure share programs, so that between them nothing is loaded, computed or compiled.
   * @throws RangeError while a generation is in work.
   */
  async switchTo(adapter: Adapter | null): Promise<void> {
    this.#refuseBusy();
    const stages = await this.#stagesOf(adapter);
    this.#refuseBusy();
    this.#stages = stages;
    this.#cachedIds.length = 0;
    this.#cache.truncate(0);
  }

  #refuseBusy(): void {
    if (this.#isBusy) throw new RangeError("Cannot switch adapters: a generation is in work");
  }

  #stagesOf(adapter: Adapter | null): Promise<Stages> {
    const key = adapter ?? this.#session;
    let stages = this.#compiled.get(key);
    if (!stages) {
      stages = compileStages({ session: this.#session, adapter });
      stages.catch(() => this.#compiled.delete(key));
      this.#compiled.set(key, stages);
    }
    return stages;
  }

  /** The cache, for its sizes. */
  get cache(): KvCache {
    return this.#cache;
  }

  /**
   * Generates token by token; stopping to read ends it.
   * @throws UsageError "usage/shape" for a prompt that is empty or longer than the model's positions.
   */
  async *generate(request: GenerateRequest): AsyncGenerator<GeneratedToken, GenerationEnd, void> {
    const { promptIds, stopIds = [], sampling = GREEDY, signal } = request;
    checkPrompt(this.#session.model, promptIds);
    if (this.#isBusy) throw new RangeError("Cannot generate: another generation is in work");
    this.#isBusy = true;
    try {
      const random = new Random(request.seed ?? 0);
      const numReusedTokens = this.#reuse(promptIds);
      const end = (finishReason: FinishReason): GenerationEnd => ({ finishReason, numReusedTokens });
      const { maxPositions } = this.#session.model;
      // The last token needs no position: nothing follows it.
      const numNew = Math.min(request.maxNewTokens, maxPositions - promptIds.length + 1);
      if (numNew <= 0) return end("length");
      let pending = promptIds.slice(numReusedTokens);
      for (let index = 0; ; index++) {
        const logits = await this.#forward(pending, signal, index === 0);
        if (!logits) return end("aborted");
        request.onLogits?.(logits.data);
        const id = sampleToken(logits.data, sampling, random);
        this.#session.pool.release(logits);
        const isStop = stopIds.includes(id);
        yield { id, index, isStop };
        if (isStop) return end("stop");
        if (index + 1 >= numNew) return end("length");
        pending = [id];
      }
    } finally {
      this.#isBusy = false;
    }
  }

  /** Generates to the end; `onToken` is told of each token as it comes. @throws as `generate` */
  async complete(
    request: GenerateRequest,
    onToken: (token: GeneratedToken) => void = () => {},
  ): Promise<Completion> {
    const startedMs = performance.now();
    let firstMs = startedMs;
    const ids: number[] = [];
    const tokens = this.generate(request);
    for (;;) {
      const step = await tokens.next();
      const nowMs = performance.now();
      if (step.done) {
        const [count, sinceMs] = ids.length > 1 ? [ids.length - 1, firstMs] : [ids.length, startedMs];
        return {
          ...step.value,
          ids,
          firstTokenMs: firstMs - startedMs,
          tokensPerSecond: (1000 * count) / Math.max(1e-3, nowMs - sinceMs),
        };
      }
      if (step.value.index === 0) firstMs = nowMs;
      ids.push(step.value.id);
      onToken(step.value);
    }
  }

  /** Keeps of the cache what the prompt begins with, but runs its last token again, for its logits. */
  #reuse(promptIds: readonly number[]): number {
    let common = 0;
    const limit = this.#stages.blocks.isPerPrompt ? 0 : promptIds.length - 1;
    while (common < limit && this.#cachedIds[common] === promptIds[common]) common++;
    this.#cachedIds.length = Math.min(common, this.#cachedIds.length);
    this.#cache.truncate(common);
    return common;
  }

  /** Runs tokens after those in the cache; gives logits [1, V] of the last, which the caller releases, or null when aborted. */
  async #forward(
    ids: readonly number[],
    signal: AbortSignal | undefined,
    arePrompt: boolean,
  ): Promise<HostTensor<"float32"> | null> {
    for (let start = 0; ; start += PREFILL_CHUNK) {
      if (signal?.aborted) return null;
      const chunk = ids.slice(start, start + PREFILL_CHUNK);
      const isLast = start + PREFILL_CHUNK >= ids.length;
      const x = await this.#forwardChunk(this.#stages, this.#cache, chunk, arePrompt && isLast);
      this.#cachedIds.push(...chunk);
      const logits = isLast ? await this.#logits(this.#stages, x) : null;
      this.#session.pool.release(x);
      if (logits) return logits;
    }
  }

  /** Runs the blocks on tokens after those in a cache; gives y [1, T, D], which the caller releases. */
  async #forwardChunk(
    { embedding, blocks }: Stages,
    cache: KvCache,
    ids: readonly number[],
    endsPrompt: boolean,
  ): Promise<HostTensor<"float32">> {
    const T = ids.length;
    cache.reserve(cache.length + T);
    const { pool, tables } = this.#session;
    const context = new PassContext(continuation(cache.length, T, endsPrompt), pool, tables);
    const x = await embedding.forward(hostTensor("int64", [1, T], BigInt64Array.from(ids, BigInt)), context);
    const y = await blocks.forward(x, context, cache);
    context.release();
    cache.append(T);
    return y;
  }

  /** Logits [1, V] of the last row of x [1, T, D]. */
  async #logits({ head }: Stages, x: HostTensor<"float32">): Promise<HostTensor<"float32">> {
    const width = x.shape[2] as number;
    return await head.logits(hostTensor("float32", [1, width], x.data.subarray(-width)));
  }
}
