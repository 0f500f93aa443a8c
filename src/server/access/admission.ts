/** @file Checks a request before its body is read: key and role, rate, and whether the server is stopping. */
import type { Context } from "hono";
import { requireAccess } from "./access.ts";
import { ApiError, stopping } from "../api-error.ts";
import type { ReadKeys } from "./api-keys.ts";
import { RateLimiter, type RateState } from "./rate-limiter.ts";
import type { Route } from "../route.ts";
import type { ServerState } from "../server-state.ts";

export interface AdmissionOptions {
  /** Reads the keys of which clients must send one; null: everybody may call. */
  readonly readKeys: ReadKeys;
  /** Origins of pages that may call, "*": all; empty: only pages of this server's own origin. */
  readonly corsOrigins: readonly string[];
}

export class Admission {
  readonly #state: ServerState;
  readonly #options: AdmissionOptions;
  readonly #rates: RateLimiter | null;

  constructor(state: ServerState, options: AdmissionOptions) {
    const { requestsPerMinute } = state.limits;
    this.#state = state;
    this.#options = options;
    this.#rates = requestsPerMinute === null ? null : new RateLimiter(requestsPerMinute, state.now);
  }

  /** Lets a request pass. @throws ApiError 401, 403, 429 or 503 */
  async admit(
    { access, whileStopping }: Pick<Route, "access" | "whileStopping">,
    context: Context,
  ): Promise<void> {
    if (access === "everybody") return;
    const { readKeys, corsOrigins } = this.#options;
    const keyName = await requireAccess(access, context, readKeys, corsOrigins);
    if (this.#rates) this.#count(this.#rates.take(callerOf(keyName, context)), context);
    if (this.#state.isDraining && !whileStopping) throw stopping();
  }

  /** Reports the remaining requests in OpenAI's headers, and refuses a request over the limit. */
  #count({ isAllowed, limit, remaining, resetMs, retryMs }: RateState, context: Context): void {
    context.header("x-ratelimit-limit-requests", `${limit}`);
    context.header("x-ratelimit-remaining-requests", `${remaining}`);
    context.header("x-ratelimit-reset-requests", `${resetMs / 1000}s`);
    if (isAllowed) return;
    throw new ApiError(429, "rate_limit_exceeded", `More than ${limit} requests per minute`, {
      retrySeconds: Math.max(1, Math.ceil(retryMs / 1000)),
    });
  }
}

/** Names the caller for rate limits: requests with the same key, or else from the same address, are counted together. */
function callerOf(keyName: string | null, context: Context): string {
  if (keyName !== null) return `key ${keyName}`;
  const { incoming } = (context.env ?? {}) as {
    readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } };
  };
  return `address ${incoming?.socket?.remoteAddress ?? "unknown"}`;
}
