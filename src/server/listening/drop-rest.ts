/** @file Answers that come before their request is whole, so that clients read them also who write all before they read. */
import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * Reads and drops the rest of a request that is answered before. A connection that is closed while something lies on it unread
 * is reset, and with it goes the answer: so one that is not kept ends on our side alone, until the request is whole or its time is
 * over; one that is kept serves the next request, which may have been sent.
 */
export function dropRest(request: IncomingMessage, answer: ServerResponse): void {
  // Before Node's own listener, which closes the connection where the client wants that.
  answer.prependOnceListener("finish", () => {
    const { socket } = request;
    if (request.complete || socket.destroyed) return;
    const destroySoon = socket.destroySoon.bind(socket);
    socket.destroySoon = () => {
      if (!answer.shouldKeepAlive) socket.end();
    };
    request.once("end", () => {
      socket.destroySoon = destroySoon;
      if (socket.writableEnded) socket.destroySoon();
    });
    // One that had begun to read would stop where nobody takes it.
    request.removeAllListeners("data");
    request.resume();
  });
}
