/**
 * @file Writes one text at a time, with one adapter after another, on an engine that can write many.
 *
 * The cache stays from one call to the next: a prompt that begins like an earlier one (a continued chat) runs only the new part,
 * in whole pages.
 */
import { z } from "zod";
import { UsageError } from "../../errors.ts";
import { A_FUNCTION, checkArguments, lazily } from "../../messages/arguments.ts";
import { type Adapter, AN_ADAPTER } from "../../peft/attach.ts";
import { requireOwnBase } from "../../peft/own-base.ts";
import { A_SESSION, type Session } from "../../run/session.ts";
import { AdapterPool } from "../adapters/adapter-pool.ts";
import type { HeldAdapter } from "../adapters/held-adapter.ts";
import { type Completion, type GenerationEnd, completeText } from "./completion.ts";
import { textBytes } from "../cache/paged-cache.ts";
import { closedModel } from "../opening/closed-model.ts";
import { requireText } from "../opening/require-text.ts";
import { MeanPool } from "../prompts/mean-pool.ts";
import { ServingEngine } from "../serving/serving-engine.ts";
import { NO_END, type ServeRequest, type ServedToken } from "../serving/serve-request.ts";

/** What a generator works with. `adapter` null: the base alone. */
export interface GeneratorParts {
  /**
   * The session. Its weights are held in float32, since dequantizing every block for every token would take longer than running
   * it.
   */
  readonly session: Session;
  readonly adapter: Adapter | null;
}

const ADAPTER = lazily(() => z.strictObject({ adapter: AN_ADAPTER.nullable() }));
const PARTS = lazily(() => ADAPTER().extend({ session: A_SESSION }));
const ON_TOKEN = lazily(() => z.strictObject({ onToken: A_FUNCTION }));

/** What to generate. */
export type GenerateRequest = Pick<
  ServeRequest,
  | "promptIds"
  | "maxNewTokens"
  | "stopIds"
  | "sampling"
  | "grammar"
  | "seed"
  | "topLogProbs"
  | "signal"
  | "onLogits"
>;

/** A token as it is generated. */
export interface GeneratedToken extends ServedToken {
  /** Index among the new tokens, from 0. */
  readonly index: number;
}

/** Most texts of full length that the cache has room for, within so many bytes; at least one in any case. */
const MAX_TEXTS = 16;
const MAX_CACHE_BYTES = 1e9;
/** Bytes kept of texts that have ended: without a limit, the texts of a file would fill the cache for nothing. */
const KEPT_BYTES = 256e6;

/** Writes texts of ids, one at a time; the caller owns the session. */
export class Generator {
  /** The engine that it writes with; others may use it at the same time. */
  readonly engine: ServingEngine;
  #held: HeldAdapter | null = null;
  #isBusy = false;
  /** Number of switches requested so far, and the number of the one that took effect last: they may finish out of order. */
  #numAsked = 0;
  #lastSwitch = 0;

  private constructor(engine: ServingEngine) {
    this.engine = engine;
  }

  /**
   * Compiles the programs. `keptBytes`: how much of ended texts is kept; at least what one text took.
   * @throws UsageError "usage/model" for a model that writes no text
   */
  static async create(parts: GeneratorParts, keptBytes = KEPT_BYTES): Promise<Generator> {
    checkArguments("Generator.create", PARTS, parts);
    const { session, adapter } = parts;
    const { base, model } = session;
    requireText(base.name, model);
    const adapters = new AdapterPool({ session, maxLoaded: 0, isOwnFirst: true });
    const oneBytes = textBytes(model);
    const cacheBytes = Math.max(oneBytes, Math.min(MAX_TEXTS * oneBytes, MAX_CACHE_BYTES));
    const generator = new Generator(new ServingEngine(session, adapters, { cacheBytes, keptBytes }));
    await generator.switchTo(adapter);
    return generator;
  }

  get session(): Session {
    return this.engine.session;
  }

  /**
   * Compiles what an adapter needs and runs it once, so that `switchTo` then needs to compile and read nothing. A text in
   * progress is not disturbed.
   */
  async prepare(adapter: Adapter | null): Promise<void> {
    checkArguments("prepare", ADAPTER, { adapter });
    await requireOwnBase(this.session.base, [adapter]);
    await this.engine.adapters.warmUp(adapter);
  }

  /**
   * Switches to another adapter of the same base, or to the base alone; what was cached with the adapter is forgotten. Adapters
   * of equal structure share programs, so that switching between them loads, computes and compiles nothing. Of several calls at
   * once, the last one wins.
   * @throws UsageError "usage/state" while a generation is in progress, "usage/adapter" for an adapter of another base
   */
  async switchTo(adapter: Adapter | null): Promise<void> {
    checkArguments("switchTo", ADAPTER, { adapter });
    this.#refuseBusy("switch adapters");
    const asked = ++this.#numAsked;
    await requireOwnBase(this.session.base, [adapter]);
    const held = await this.engine.adapters.hold(adapter);
    this.#refuseBusy("switch adapters");
    if (asked < this.#lastSwitch) return;
    this.#lastSwitch = asked;
    this.#held = held;
  }

  #refuseBusy(what: string): void {
    const other = what === "generate" ? "another" : "a";
    if (!this.#isBusy) return;
    throw new UsageError("usage/state", `Cannot ${what}: ${other} generation is in progress`, {
      hint: "Wait for it to end, or stop reading it; `TaskSet.writeRows` and `TextModel.writeAll` write several texts at once.",
    });
  }

  /**
   * Generates token by token; the text ends when the caller stops reading.
   * @throws UsageError "usage/length" for a prompt longer than the model's positions, "usage/flag" for one that is empty and for
   * settings that mean nothing, "usage/state" while another generation is in progress and after the model was closed
   */
  async *generate(request: GenerateRequest): AsyncGenerator<GeneratedToken, GenerationEnd, void> {
    this.#refuseBusy("generate");
    this.#isBusy = true;
    const tokens = this.engine.write({ ...request, adapter: this.#held });
    try {
      for (let index = 0; ; index++) {
        const step = await tokens.next();
        if (step.done) {
          const { finishReason, numCachedTokens } = step.value;
          return { finishReason, numReusedTokens: numCachedTokens };
        }
        yield { ...step.value, index };
      }
    } finally {
      await tokens.return(NO_END);
      // A running pass still reads the adapter.
      await this.engine.afterStep();
      this.#isBusy = false;
    }
  }

  /** Generates to the end; `onToken` receives each token. @throws as `generate` */
  async complete(
    request: GenerateRequest,
    onToken: (token: GeneratedToken) => void = () => {},
  ): Promise<Completion> {
    checkArguments("complete", ON_TOKEN, { onToken });
    return await this.#complete(request, onToken);
  }

  /**
   * Computes the embedding [D] of a prompt: the mean of the outputs after the final norm, scaled to length 1. The caller owns it.
   * @throws as `generate`; the reason of `signal`; FailedError "engine/nan"
   */
  async embed(promptIds: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    const reader = new MeanPool();
    const { finishReason } = await this.#complete({ promptIds, maxNewTokens: 0, signal, reader });
    signal?.throwIfAborted();
    if (finishReason === "aborted") throw closedModel("embed a text", this.session.base.name);
    return reader.embedding;
  }

  async #complete(request: ServeRequest, onToken?: (token: GeneratedToken) => void): Promise<Completion> {
    this.#refuseBusy("generate");
    this.#isBusy = true;
    try {
      return await completeText(this.engine.write({ ...request, adapter: this.#held }), (token, index) =>
        onToken?.({ ...token, index }),
      );
    } finally {
      await this.engine.afterStep();
      this.#isBusy = false;
    }
  }
}
