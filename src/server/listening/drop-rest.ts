/**
 * @file Sends answers that are ready before their request has been read to its end. The rest of the request is dropped, so that
 * clients that write everything before they read still get the answer.
 */
import type { IncomingMessage, ServerResponse } from "node:http";

/** How long a refused client may send nothing. */
const STALL_MS = 5000;

/**
 * Reads and drops the rest of a request after its answer has been written.
 *
 * Closing a connection with unread data resets it, and the client loses the answer. So a connection that should end is closed
 * only on our side until the rest has come or the time is over; one that is kept serves the next request. A client that stops
 * sending is disconnected after a while.
 */
export function dropRest(request: IncomingMessage, answer: ServerResponse): void {
  // Must run before Node's own listener, which closes the connection if the client wants that.
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
    // A listener that no longer consumes the data would stop the reading.
    request.removeAllListeners("data");
    request.resume();
    // Must run after Node's own listener, which sets the timeout until the next request on a kept connection.
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
