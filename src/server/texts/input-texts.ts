/** @file The texts of a request that are only read, not continued: for embeddings, or for classification. */
import type { Context } from "hono";
import { ApiError } from "../api-error.ts";
import type { ServerState } from "../server-state.ts";
import type { ReadRequest } from "../wire.ts";
import { withinTime } from "../within-time.ts";
import { inTurns } from "./in-turns.ts";
import { requireIds } from "./text-job.ts";
import { type Ends, readCut, readTruncation } from "./truncation.ts";

/** Texts that run at a time: enough to fill the steps, few enough that others get their turns. */
const SIDE_BY_SIDE = 8;

/** A text as ids. */
interface InputIds {
  readonly ids: ArrayLike<number>;
}

/**
 * The ids of each input; `isWhole`: including what the tokenizer adds after a text. @throws ApiError 400 for one that is empty or
 * too long
 */
export async function readInputs(
  body: ReadRequest,
  isWhole: boolean,
  state: ServerState,
): Promise<readonly { readonly ids: readonly number[] }[]> {
  const { input } = body;
  const { maxTokens, parts } = state.model;
  const ends: Ends = [parts.tokenizer.prefixIds, isWhole ? parts.tokenizer.suffixIds : []];
  const truncation = readTruncation(body, ends, maxTokens);
  const list = typeof input === "string" || typeof input[0] === "number" ? [input] : input;
  return await inTurns(list as (string | readonly number[])[], (each, i) => {
    const param = list.length === 1 ? "input" : `input[${i}]`;
    const requireRoom = (numTokens: number, told: string): void => {
      if (numTokens <= maxTokens) return;
      throw new ApiError(
        400,
        "context_length_exceeded",
        `${param} has ${told} tokens, expected at most ${maxTokens}`,
        { param },
      );
    };
    const encode = (text: string, check?: (fewest: number) => void): number[] =>
      isWhole ? state.model.encodeWhole(text, check) : state.model.encodePrompt(text, check);
    const ids =
      truncation !== null
        ? readCut(each, { encode, ends, truncation })
        : typeof each === "string"
          ? encode(each, (fewest) => requireRoom(fewest, `at least ${fewest}`))
          : each;
    requireIds(ids, param, state);
    requireRoom(ids.length, `${ids.length}`);
    return { ids };
  });
}

/** A request with texts to read. */
export interface ReadCall {
  readonly context: Context;
  readonly state: ServerState;
  /** The key that contains them. */
  readonly param: string;
}

/**
 * Reads inputs, some at a time, within the time limit of a request; null: the client has gone and gets no answer. @throws
 * ApiError 503, 504
 */
export async function runInputs<I extends InputIds, T>(
  inputs: readonly I[],
  { context, state, param }: ReadCall,
  run: (some: readonly I[], signal: AbortSignal) => Promise<readonly T[]>,
): Promise<readonly T[] | null> {
  const promptIds = inputs.flatMap(({ ids }) => Array.from(ids));
  const release = state.places.take([{ promptIds, maxNewTokens: 0 }], param);
  const { signal: gone } = context.req.raw;
  const found: T[] = [];
  try {
    await withinTime(state, gone, async (signal) => {
      for (let from = 0; from < inputs.length; from += SIDE_BY_SIDE)
        found.push(...(await run(inputs.slice(from, from + SIDE_BY_SIDE), signal)));
    });
    return found;
  } catch (error) {
    if (gone.aborted) return null;
    throw error;
  } finally {
    release();
  }
}

/** The usage of inputs. */
export function usageOf(inputs: readonly InputIds[]): {
  readonly prompt_tokens: number;
  readonly total_tokens: number;
} {
  const numTokens = inputs.reduce((sum, { ids }) => sum + ids.length, 0);
  return { prompt_tokens: numTokens, total_tokens: numTokens };
}
