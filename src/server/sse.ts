/**
 * @file Server-sent events. Each contains one JSON object. A stream ends with [DONE]; in the Responses API, each event is named
 * by its type instead.
 */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { type ErrorBody, answerFault } from "./api-error.ts";
import type { ServerState } from "./server-state.ts";

/** Writes events, until the signal says that the client has gone. */
export type EventWriter = (send: (event: object) => Promise<void>, signal: AbortSignal) => Promise<void>;

interface EventStream {
  readonly write: EventWriter;
  /** Called when the stream has ended, whatever the reason. */
  readonly done: () => void;
  /** Makes the events that report an error, if events have types. */
  readonly tellError?: (body: ErrorBody) => readonly object[];
}

/** Sends events until all are written; an error is reported as the last event. */
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
  // Node sets both by the client's request: it may close the connection, and with HTTP/1.0 it must not send chunks.
  for (const name of ["connection", "transfer-encoding"]) {
    answer.headers.delete(name);
    // Headers set earlier on the context, for instance for web pages, would override those of the answer.
    context.header(name, undefined);
  }
  // Otherwise nginx would collect events before sending them.
  answer.headers.set("x-accel-buffering", "no");
  return answer;
}
