/**
 * @file Sends answers that are ready before their request has been read to its end. The rest of the request is dropped, so
 * that clients which write everything before they read still get the answer.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

/** How long a client that has been refused may send nothing. */
const STALL_MS = 5000;

/**
 * Reads and drops what is left of a request when its answer has been written.
 *
 * Closing a connection on which something lies unread resets it, and the client then loses the answer. So a connection that is to
 * end is closed on our side only, until the rest has come or its time is over. One that is kept serves the next request. A client
 * that stops sending is not waited for.
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
    // A listener that no longer takes what it has asked for would stop the reading.
    request.removeAllListeners("data");
    request.resume();
    // After Node's own listener, which gives a kept connection the time until its next request.
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
