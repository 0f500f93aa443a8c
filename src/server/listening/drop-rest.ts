/**
 * @file Sends answers that are ready before their request has been read to its end. The rest of the request is dropped, so
 * that clients which write everything before they read still get the answer.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

/** How long a client that has been refused may send nothing. */
const STALL_MS = 5000;

/**
 * Reads and drops the rest of a request that is answered before. A connection that is closed while something lies on it unread
 * is reset, and with it goes the answer: so one that is not kept ends on our side alone, until the request is whole or its time is
 * over; one that is kept serves the next request, which may have been sent. Who stops sending is not waited for.
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
    // Behind Node's own listener, which gives a kept connection the time until its next request.
    setImmediate(() => {
      if (!request.complete) boundStall(request);
    });
  });
}

function boundStall(request: IncomingMessage): void {
  const { socket } = request;
  const { timeout = 0 } = socket;
  socket.setTimeout(STALL_MS);
  request.once("end", () => socket.setTimeout(timeout));
}
