/**
 * @file Server-sent events. Each holds one JSON object. A stream ends with [DONE], or, in the Responses API, each event is
 * named by its type.
 */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { type ErrorBody, answerFault } from "./api-error.ts";
import type { ServerState } from "./server-state.ts";

/** Writes events, until the signal says that nobody reads them any more. */
export type EventWriter = (send: (event: object) => Promise<void>, signal: AbortSignal) => Promise<void>;

interface EventStream {
  readonly write: EventWriter;
  /** Is called when it has ended, however it did. */
  readonly done: () => void;
  /** Where the events have types: those that say what went wrong. */
  readonly tellError?: (body: ErrorBody) => readonly object[];
}

/** Sends events until all are written; what goes wrong meanwhile is the last event. */
export function sendEvents(
  context: Context,
  state: Pick<ServerState, "named" | "onError">,
  { write, done, tellError }: EventStream,
): Response {
  const answer = streamSSE(context, async (stream) => {
    const gone = new AbortController();
    stream.onAbort(() => gone.abort());
    const send = (event: object): Promise<void> => {
      const type = tellError && "type" in event ? { event: String(event.type) } : {};
      return stream.writeSSE({ ...type, data: JSON.stringify(event) });
    };
    try {
      await write(send, AbortSignal.any([gone.signal, context.req.raw.signal]));
    } catch (error) {
      const { body } = answerFault(error, state, context.get("requestId"));
      for (const event of tellError?.(body) ?? [body]) await send(event);
    } finally {
      done();
    }
    if (!tellError) await stream.writeSSE({ data: "[DONE]" });
  });
  // Node sets both by what the client asked for: it may close the connection, and with HTTP/1.0 it reads no chunks.
  for (const name of ["connection", "transfer-encoding"]) {
    answer.headers.delete(name);
    // What is set on the context before, as for web pages, is laid over the answer.
    context.header(name, undefined);
  }
  // nginx would otherwise keep events until many have come.
  answer.headers.set("x-accel-buffering", "no");
  return answer;
}
