/** @file Server-sent events: one JSON object each, and [DONE] behind the last. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { errorAnswer } from "./api-error.ts";

/** Sends events until `write` is done, and then calls `done`; what goes wrong meanwhile is the last event. */
export function sendEvents(
  context: Context,
  write: (send: (event: object) => Promise<void>, signal: AbortSignal) => Promise<void>,
  done: () => void,
): Response {
  return streamSSE(context, async (stream) => {
    const gone = new AbortController();
    stream.onAbort(() => gone.abort());
    const send = (event: object): Promise<void> => stream.writeSSE({ data: JSON.stringify(event) });
    try {
      await write(send, AbortSignal.any([gone.signal, context.req.raw.signal]));
    } catch (error) {
      await send(errorAnswer(error).body);
    } finally {
      done();
    }
    await stream.writeSSE({ data: "[DONE]" });
  });
}
