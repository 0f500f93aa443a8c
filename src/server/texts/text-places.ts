/**
 * @file Places for texts that are being written or waiting. A request that finds no place is refused and told to retry, so that
 * it does not wait in memory.
 */
import type { TextJob } from "../../engine/serving-model.ts";
import { ApiError } from "../api-error.ts";
import type { Limits } from "../requests/limits.ts";

/** When a client that found no place may retry. */
const RETRY_SECONDS = 1;

type TextLimits = Pick<Limits, "maxTexts" | "maxRequestTokens">;

export class TextPlaces {
  readonly #limits: TextLimits;
  #numTaken = 0;

  constructor(limits: TextLimits) {
    this.#limits = limits;
  }

  get numTaken(): number {
    return this.#numTaken;
  }

  /**
   * Takes places for the texts of a request, and returns the function that frees them; `tokensKey`: the key that determines most
   * of its tokens.
   * @throws ApiError 400 for a request that never fits, 503 for one that does not fit now
   */
  take(jobs: readonly Pick<TextJob, "promptIds" | "maxNewTokens">[], tokensKey = "max_tokens"): () => void {
    const { maxTexts, maxRequestTokens } = this.#limits;
    const numTokens = jobs.reduce((sum, job) => sum + job.promptIds.length + job.maxNewTokens, 0);
    if (maxRequestTokens !== null && numTokens > maxRequestTokens) {
      throw new ApiError(
        400,
        "too_many_tokens",
        `The request asks for up to ${numTokens} tokens, including prompts, expected at most ${maxRequestTokens}`,
        { param: tokensKey },
      );
    }
    if (jobs.length > maxTexts) {
      throw new ApiError(
        400,
        "too_many_texts",
        `The request asks for ${jobs.length} texts, expected at most ${maxTexts}`,
        { param: "n" },
      );
    }
    if (this.#numTaken + jobs.length > maxTexts) {
      throw new ApiError(503, "overloaded", "Too many requests in progress; try again shortly", {
        retrySeconds: RETRY_SECONDS,
      });
    }
    this.#numTaken += jobs.length;
    let isFree = false;
    return () => {
      if (!isFree) this.#numTaken -= jobs.length;
      isFree = true;
    };
  }
}
