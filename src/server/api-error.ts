/** @file Errors in OpenAI's format: { error: { message, type, param, code } }. */
import { z } from "zod";
import { CODES, GraftError, toldWhole } from "../errors.ts";
import { toldOfAway } from "../jobs/away.ts";
import { findFullDisk, toFailedWrite } from "../messages/system-error.ts";
import { readable } from "../printable.ts";

/** An error answer. Its message is cut to a limited length, however long the quoted parts of the request are. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  /** Path of the invalid field. */
  readonly param: string | null;
  /** Seconds after which the same request may succeed; null: never or unknown. */
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

/** Refuses a request for the value of one of its keys. */
export function invalidValue(message: string, param: string): ApiError {
  return new ApiError(400, "invalid_value", message, { param });
}

/** Refuses a request without a valid host or URL. */
export function noAddress(): ApiError {
  return new ApiError(400, "invalid_request", "The request has no valid host or URL");
}

/** When a client may retry after the server stops: another may have taken its place by then. */
const RESTART_SECONDS = 5;

/** The error for requests to a server that is stopping. */
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

/** By who must act: a client cannot change a shortage of the machine, which may be temporary. */
const STATUSES = { usage: 400, format: 400, capacity: 503, failed: 500 } as const;

/**
 * Makes an answer from any error. Of an error that is not the client's fault, it gives only what graft says about it. A full disk
 * always gives the same answer, wherever it was noticed. `named` replaces paths of this machine in a text.
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

/** Answers a failed request; reports errors that are not the client's fault to the operator. */
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
