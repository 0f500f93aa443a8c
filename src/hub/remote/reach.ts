/** @file Gives up on a silent server, and says in one line why a server could not be reached. */
import { type SourceContext, type StartTimer, UnreachableError } from "../source.ts";
import { systemCode } from "../../messages/system-error.ts";

/** Time limit for later pieces, as a multiple of that for the first byte. */
const STALL_FACTOR = 3;
/** Least bytes in that time: 1 KiB/s with the default time-out. Otherwise one byte now and then could keep us waiting for ever. */
const MIN_PIECE_BYTES = 1 << 14;

/** Aborts its signal when too little arrives for a while; dispose it to stop the timers. */
export class Watchdog implements Disposable {
  readonly #controller = new AbortController();
  readonly #startTimer: StartTimer;
  readonly #stallMs: number;
  readonly #stopTotal: (() => void) | undefined;
  #stop: () => void;
  /** Bytes since the timer was started; null before the first byte. */
  #numBytes: number | null = null;

  /** Starts the timers: the first byte must come within `timeoutMs`, and everything within `totalMs`, if it is given. */
  constructor({ timeoutMs, startTimer }: Pick<SourceContext, "timeoutMs" | "startTimer">, totalMs?: number) {
    this.#startTimer = startTimer;
    this.#stallMs = timeoutMs * STALL_FACTOR;
    this.#stop = this.#start(timeoutMs, `no answer within ${timeoutMs / 1000} s`);
    this.#stopTotal =
      totalMs === undefined ? undefined : this.#start(totalMs, `not finished within ${totalMs / 1000} s`);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  #start(delayMs: number, reason: string): () => void {
    return this.#startTimer(() => this.#controller.abort(new UnreachableError(reason)), delayMs);
  }

  /** Records received bytes. */
  feed(numBytes: number): void {
    if (this.#numBytes !== null && (this.#numBytes += numBytes) < MIN_PIECE_BYTES) return;
    this.#numBytes = 0;
    this.#stop();
    const seconds = this.#stallMs / 1000;
    this.#stop = this.#start(this.#stallMs, `less than ${MIN_PIECE_BYTES} bytes within ${seconds} s`);
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#stopTotal?.();
  }
}

/** Reads the body of an answer. @throws UnreachableError when it is too long */
export async function bodyOf(response: Response, maxBytes: number, watchdog: Watchdog): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let numBytes = 0;
  for await (const piece of response.body ?? []) {
    watchdog.feed(piece.length);
    numBytes += piece.length;
    if (numBytes > maxBytes) throw new UnreachableError(`the answer is longer than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
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

/** Converts what `fetch` threw into an UnreachableError with a one-line reason; system errors of the disk stay as they are. */
export function fetchReason(error: unknown): unknown {
  if (error instanceof UnreachableError) return error;
  // fetch throws a TypeError for network faults, with the fault as its cause; if several addresses were tried, the cause is an
  // AggregateError.
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
