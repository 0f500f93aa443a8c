/** @file Errors as clients of OpenAI's interface know them: { error: { message, type, param, code } }. */
import { z } from "zod";
import { CODES, GraftError, toldWhole } from "../errors.ts";
import { toldOfAway } from "../jobs/away.ts";
import { findFullDisk, toFailedWrite } from "../messages/system-error.ts";
import { readable } from "../printable.ts";

/** An answer that refuses; what it says of a request is cut like every message, however long the request's own words are. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  /** Path of the invalid field. */
  readonly param: string | null;
  /** When the same request may do; null: never, or nobody knows. */
  readonly retrySeconds: number | null;

  constructor(
    status: number,
    code: string,
    message: string,
    {
      param = null,
      retrySeconds = null,
      cause,
    }: Partial<Pick<ApiError, "param" | "retrySeconds" | "cause">> = {},
  ) {
    super(readable(message), cause === undefined ? {} : { cause });
    this.status = status;
    this.code = code;
    this.param = param === null ? null : readable(param);
    this.retrySeconds = retrySeconds;
  }
}

/** A request is refused for what one of its keys says. */
export function invalidValue(message: string, param: string): ApiError {
  return new ApiError(400, "invalid_value", message, { param });
}

/** A request does not say in a form that can be read where it goes. */
export function noAddress(): ApiError {
  return new ApiError(400, "invalid_request", "The request has no valid host or URL");
}

/** When a client may ask a server again that stops: another may have taken its place. */
const RESTART_SECONDS = 5;

/** What requests are told when the server stops. */
export function stopping(): ApiError {
  return new ApiError(503, "stopping", "The server is stopping", { retrySeconds: RESTART_SECONDS });
}

export const ERROR_BODY = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable().describe("Path of the invalid field"),
    code: z.string().nullable(),
  }),
});
export type ErrorBody = z.output<typeof ERROR_BODY>;

const TYPES: Readonly<Record<number, string>> = {
  403: "permission_error",
  429: "rate_limit_error",
  503: "service_unavailable_error",
  504: "timeout_error",
};

/** By who must act: a client cannot help a shortage of the machine, which may be over soon. */
const STATUSES = { usage: 400, format: 400, capacity: 503, failed: 500 } as const;

/**
 * Makes an answer of whatever went wrong; of what is no client's fault, what graft says of it. A full disk is one answer, whoever
 * found it. `named` takes the places of this machine out of a text.
 */
export function errorAnswer(
  thrown: unknown,
  named = (text: string): string => text,
): { readonly status: number; readonly body: ErrorBody } {
  if (thrown instanceof ApiError) return answer(thrown.status, thrown.message, thrown.param, thrown.code);
  const full: NodeJS.ErrnoException | null = findFullDisk(thrown);
  const isUntold = full !== null && !(thrown instanceof GraftError);
  const error = isUntold ? toFailedWrite(full, full.path ?? "of the server") : thrown;
  if (error instanceof GraftError) {
    const away = full === null ? toldOfAway(error) : null;
    if (away !== null) return answer(503, away, null, error.code);
    const status = full === null ? STATUSES[CODES[error.code][0]] : 503;
    const code = error.code === "usage/length" ? "context_length_exceeded" : error.code;
    return answer(status, named(toldWhole(error)), null, code);
  }
  return answer(500, "Internal error", null, "internal_error");
}

function answer(
  status: number,
  message: string,
  param: string | null,
  code: string | null,
): ReturnType<typeof errorAnswer> {
  const type = TYPES[status] ?? (status >= 500 ? "server_error" : "invalid_request_error");
  return { status, body: { error: { message, type, param, code } } };
}

/** Answers a request that fails; what its client cannot help is told to who runs the server. */
export function answerFault(
  thrown: unknown,
  state: {
    readonly named: (text: string) => string;
    readonly onError: (error: unknown, requestId: string) => void;
  },
  requestId: string,
): ReturnType<typeof errorAnswer> {
  const answered = errorAnswer(thrown, (text) => state.named(text));
  const untold = thrown instanceof ApiError ? thrown.cause : thrown;
  if (answered.status >= 500 && untold !== undefined) state.onError(untold, requestId);
  return answered;
}
