/**
 * @file Writes tokens after a prompt: prefill in chunks, then one token a step, all through the blocks' cached programs.
 *
 * The cache stays from one call to the next: a prompt that begins with the same ids as the last sequence (a chat that
 * goes on) runs only what is new.
 */
import { UsageError } from "../errors.ts";
import type { Architecture } from "../models/architecture.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { Random } from "../random.ts";
import { ContextMaker } from "../run/context.ts";
import { Embedding } from "../run/embedding.ts";
import { Head } from "../run/head.ts";
import { BufferPool } from "../runtime/buffer-pool.ts";
import type { Engine } from "../runtime/engine.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { BlockStack } from "./block-stack.ts";
import { KvCache } from "./kv-cache.ts";
import { GREEDY, type SamplingOptions, sampleToken } from "./sampler.ts";

/** Prompt tokens that run at once: enough to fill the machine, few enough for a small mask and a quick stop. */
const PREFILL_CHUNK = 256;

/** What a generator works with. `adapter` null: the base alone. */
export interface GeneratorParts {
  readonly engine: Engine;
  /** With `keepWidened`: widening every block for every token would take longer than running it. */
  readonly base: BaseModel;
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

/** Refuses a model that does not write tokens. @throws UsageError "usage/model" */
export function requireText(name: string, { stem, modelType }: Architecture): void {
  if (stem.reads === "tokens") return;
  throw new UsageError(
    "usage/model",
    `Cannot write text with model "${name}": family ${modelType} reads ${stem.reads}, expected tokens`,
    { hint: "Choose a language model" },
  );
}

/** Makes a generator. @throws as `Generator.create` */
export async function createGenerator(parts: GeneratorParts): Promise<Generator> {
  return await Generator.create(parts);
}

/** The compiled parts of a generator. */
interface Stages {
  readonly blocks: BlockStack;
  readonly embedding: Embedding;
  readonly head: Head;
}

async function compileStages({ engine, base, adapter }: GeneratorParts, pool: BufferPool): Promise<Stages> {
  return {
    blocks: await BlockStack.create(engine, base, adapter, pool),
    embedding: await Embedding.create(engine, base, adapter, pool),
    head: new Head(engine, base, adapter, pool),
  };
}

async function releaseStages({ blocks, embedding, head }: Stages): Promise<void> {
  await blocks.release();
  await embedding.release();
  await head.release();
}

export class Generator {
  readonly #engine: Engine;
  readonly #base: BaseModel;
  #stages: Stages;
  #adapter: Adapter | null;
  readonly #contexts: ContextMaker;
  readonly #pool: BufferPool;
  readonly #cache: KvCache;
  readonly #maxPositions: number;
  /** Ids whose keys and values are in the cache. */
  readonly #cachedIds: number[] = [];
  #isBusy = false;

  private constructor({ engine, base, adapter }: GeneratorParts, stages: Stages, pool: BufferPool) {
    const { config } = base;
    this.#engine = engine;
    this.#base = base;
    this.#adapter = adapter;
    this.#stages = stages;
    this.#pool = pool;
    this.#contexts = new ContextMaker(config);
    this.#cache = new KvCache(config);
    this.#maxPositions = config.maxPositions;
  }

  /** Compiles the programs. @throws UsageError "usage/model" for a model that writes no text */
  static async create(parts: GeneratorParts): Promise<Generator> {
    requireText(parts.base.name, parts.base.architecture);
    const pool = new BufferPool();
    return new Generator(parts, await compileStages(parts, pool), pool);
  }

  /**
   * Switches to another adapter of the same base, or to the base alone; what was cached is forgotten. Adapters of equal
   * structure share programs, so that between them nothing is loaded, computed or compiled.
   * @throws RangeError while a generation is in work.
   */
  async switchTo(adapter: Adapter | null): Promise<void> {
    if (this.#isBusy) throw new RangeError("Cannot switch adapters: a generation is in work");
    const isInBlocks = [adapter, this.#adapter].every((each) => each === null || sitsInBlocks(each));
    if (!(isInBlocks && this.#stages.blocks.replace(adapter))) {
      const old = this.#stages;
      this.#stages = await compileStages({ engine: this.#engine, base: this.#base, adapter }, this.#pool);
      await releaseStages(old);
    }
    this.#adapter = adapter;
    this.#cachedIds.length = 0;
    this.#cache.truncate(0);
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
    this.#checkPrompt(promptIds);
    if (this.#isBusy) throw new RangeError("Cannot generate: another generation is in work");
    this.#isBusy = true;
    try {
      const random = new Random(request.seed ?? 0);
      const numReusedTokens = this.#reuse(promptIds);
      const end = (finishReason: FinishReason): GenerationEnd => ({ finishReason, numReusedTokens });
      // The last token needs no position: nothing follows it.
      const numNew = Math.min(request.maxNewTokens, this.#maxPositions - promptIds.length + 1);
      if (numNew <= 0) return end("length");
      let pending = promptIds.slice(numReusedTokens);
      for (let index = 0; ; index++) {
        const logits = await this.#forward(pending, signal, index === 0);
        if (!logits) return end("aborted");
        request.onLogits?.(logits.data);
        const id = sampleToken(logits.data, sampling, random);
        this.#pool.release(logits);
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

  #checkPrompt(promptIds: readonly number[]): void {
    const { vocabSize } = this.#base.config;
    if (promptIds.length === 0) {
      throw new UsageError(
        "usage/shape",
        "Cannot generate: the prompt is empty, expected at least one token",
        {
          hint: "Give some text to go on from.",
        },
      );
    }
    if (promptIds.length > this.#maxPositions) {
      throw new UsageError(
        "usage/shape",
        `Cannot generate: the prompt has ${promptIds.length} tokens, expected at most ${this.#maxPositions}, the model's positions`,
        { hint: "Shorten the prompt, or start a new conversation." },
      );
    }
    const foreign = promptIds.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (foreign !== undefined) {
      throw new UsageError(
        "usage/shape",
        `Cannot generate: the prompt has id ${foreign}, expected ids below ${vocabSize}`,
        { hint: "Use the tokenizer that belongs to the model." },
      );
    }
  }

  /** Keeps of the cache what the prompt begins with, but runs its last token again, for its logits. */
  #reuse(promptIds: readonly number[]): number {
    let common = 0;
    const limit = this.#stages.blocks.readsPromptEnds ? 0 : promptIds.length - 1;
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
      const x = await this.#forwardChunk(chunk, arePrompt && isLast);
      const logits = isLast ? await this.#logits(x) : null;
      this.#pool.release(x);
      if (logits) return logits;
    }
  }

  /** Runs the blocks on some tokens; gives y [1, T, D], which the caller releases. */
  async #forwardChunk(ids: readonly number[], endsPrompt: boolean): Promise<HostTensor<"float32">> {
    const T = ids.length;
    this.#cache.reserve(this.#cache.length + T);
    const context = this.#contexts.continuation(this.#cache.length, T, endsPrompt);
    const x = await this.#stages.embedding.forward(
      hostTensor("int64", [1, T], BigInt64Array.from(ids, BigInt)),
    );
    const y = await this.#stages.blocks.forward(x, context, this.#cache);
    this.#cache.append(T);
    this.#cachedIds.push(...ids);
    return y;
  }

  /** Logits [1, V] of the last row of x [1, T, D]. */
  async #logits(x: HostTensor<"float32">): Promise<HostTensor<"float32">> {
    const width = x.shape[2] as number;
    return await this.#stages.head.logits(hostTensor("float32", [1, width], x.data.subarray(-width)));
  }

  /** Frees the programs. */
  async release(): Promise<void> {
    await releaseStages(this.#stages);
  }
}

/** Whether an adapter leaves embedding, final norm and head alone. */
function sitsInBlocks({ parameters, sites }: Adapter): boolean {
  const inBlocks = new Set(
    [...sites.values()].flatMap(({ path, layer, parameters: own }) =>
      layer === null ? [] : own.map(({ suffix }) => `${path}.${suffix}`),
    ),
  );
  return parameters.every(({ name }) => inBlocks.has(name));
}
