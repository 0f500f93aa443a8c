/** @file Log-probabilities of tokens in the forms for clients: that of chat completions, and the older one with parallel lists. */
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { WrittenToken } from "../../engine/serving-model.ts";
import type { ScoredToken, TokenLogProbs } from "../../engine/sampling/token-log-probs.ts";
import { TextOffsets } from "./text-offsets.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A token as text; if it is only part of a character, its bytes are written out, so that different tokens have different names. */
function nameOf(bytes: Uint8Array, prefix: string): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    return prefix + [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  }
}

function describe(tokenizer: Tokenizer, { id, logProb }: ScoredToken): Record<string, unknown> {
  const bytes = tokenizer.tokenBytes(id) ?? new Uint8Array(0);
  return { token: nameOf(bytes, ""), logprob: logProb, bytes: [...bytes] };
}

/** One token of a chat's answer; null: none was asked for, or it is not part of the text. */
export function chatLogProbs(
  tokenizer: Tokenizer,
  token: WrittenToken | null | undefined,
): Record<string, unknown> | null {
  if (!token?.logProbs) return null;
  const { top, ...own } = token.logProbs;
  return { ...describe(tokenizer, own), top_logprobs: top.map((each) => describe(tokenizer, each)) };
}

/** Log-probabilities of a text of /v1/completions, returned in as many parts as the text is sent in. */
export class ListedLogProbs {
  readonly #tokenizer: Tokenizer;
  readonly #offsets: TextOffsets;
  #told = emptyLists();

  /** `shownIds`: as for `TextOffsets`. */
  constructor(tokenizer: Tokenizer, shownIds?: ReadonlySet<number>) {
    this.#tokenizer = tokenizer;
    this.#offsets = new TextOffsets(tokenizer, shownIds);
  }

  /** Adds a token; `scored` null: it is the first, so it has no probability. */
  add(id: number, scored: TokenLogProbs | null): void {
    this.#told.tokens.push(this.#nameOf(id));
    this.#told.token_logprobs.push(scored?.logProb ?? null);
    // The token itself is listed too: it need not be one of the likeliest.
    const all = scored && [...scored.top, scored];
    const top = all && Object.fromEntries(all.map((each) => [this.#nameOf(each.id), each.logProb]));
    this.#told.top_logprobs.push(top);
    this.#told.text_offset.push(this.#offsets.push(id));
  }

  /** Counts places from the end of this text with `ids` on; its own tokens are not added. */
  startBehind(text: string, ids: readonly number[]): void {
    this.#offsets.startBehind(text, ids);
  }

  /** Returns what was added since the last call. */
  take(): object {
    const told = this.#told;
    this.#told = emptyLists();
    return told;
  }

  #nameOf(id: number): string {
    return nameOf(this.#tokenizer.tokenBytes(id) ?? new Uint8Array(0), "bytes:");
  }
}

interface Lists {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  readonly text_offset: number[];
}

function emptyLists(): Lists {
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
}
