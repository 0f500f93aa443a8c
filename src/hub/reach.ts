/** @file Giving up on a silent server, and saying in one line why a server could not be reached. */
import { UnreachableError } from "./source.ts";
import { systemCode } from "../system-error.ts";

/** How much longer than the first byte any later byte may take. */
const STALL_FACTOR = 3;

/** Aborts its signal when nothing comes for a while; dispose it to stop the clock. */
export class Watchdog implements Disposable {
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  #timer: NodeJS.Timeout;

  /** Starts the clock: the first byte must come within `timeoutMs`. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#timer = this.#start(timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  #start(delayMs: number): NodeJS.Timeout {
    const reason = new UnreachableError(`no answer within ${delayMs / 1000} s`);
    return setTimeout(() => this.#controller.abort(reason), delayMs);
  }

  /** Tells that something came. */
  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start(this.#timeoutMs * STALL_FACTOR);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

const NETWORK_REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: "the host name is unknown",
  EAI_AGAIN: "the host name cannot be looked up",
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no network",
  ETIMEDOUT: "the connection timed out",
  UND_ERR_CONNECT_TIMEOUT: "the connection timed out",
  UND_ERR_SOCKET: "the connection broke",
};

/** Turns what `fetch` threw into an UnreachableError with a one-line reason; system errors of the disk pass through. */
export function fetchReason(error: unknown): unknown {
  if (error instanceof UnreachableError) return error;
  // fetch throws TypeError for network faults, with the fault as its cause; several tried addresses make an AggregateError.
  if (!(error instanceof TypeError)) {
    return Object.hasOwn(NETWORK_REASONS, systemCode(error))
      ? new UnreachableError(NETWORK_REASONS[systemCode(error)])
      : error;
  }
  const cause = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause;
  const code = systemCode(cause);
  const text = cause instanceof Error ? cause.message : error.message;
  return new UnreachableError(NETWORK_REASONS[code] ?? (text.split("\n")[0] || code));
}
