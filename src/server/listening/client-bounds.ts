/**
 * @file What clients may do to a connection: those that are slow are cut off, those that do not speak HTTP are told so.
 *
 * Nothing is written to a connection on which an answer is under way: it would stand in the middle of that.
 */
import type { Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { ApiError, errorAnswer } from "../api-error.ts";

/** The code of a request to connect to another server. Node does not report it as an error. */
const NO_PROXY = "CONNECT";

/** Node's code of an error → what its client is told. */
const FAULTS: Readonly<Record<string, readonly [status: number, code: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: [431, "headers_too_large", "The headers are too large"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, "body_too_large", "The chunk extensions are too large"],
  [NO_PROXY]: [405, "method_not_allowed", "This server is not a proxy"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "request_timeout", "The request did not arrive in time"],
};
const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  431: "Request Header Fields Too Large",
};

/**
 * Watches the connections of a server. When the process was busy, timers run before what came meanwhile is read: so each is read
 * once more before its client is late, which would lose a request because the server was.
 */
export function boundClients(server: Server, clientTimeoutMs: number): void {
  /** Answers that are due, by connection. */
  const due = new WeakMap<Duplex, Set<ServerResponse>>();
  const dueOn = (socket: Duplex): ReadonlySet<ServerResponse> => due.get(socket) ?? new Set();
  /** The newest on each connection. */
  const newest = new WeakMap<Duplex, ServerResponse>();
  server.prependListener("request", ({ socket }, answer) => {
    newest.set(socket, answer);
    const own = due.get(socket) ?? new Set<ServerResponse>();
    due.set(socket, own.add(answer));
    answer.once("close", () => own.delete(answer));
  });
  // A client that is late with a request is told so first; this is for those that say nothing at all, and those that do not read.
  server.setTimeout(2 * clientTimeoutMs, (socket: Socket) => {
    // A client may wait for an answer, as requests have a limit of their own; it may not leave it unread.
    if (dueOn(socket).size > 0 && socket.writableLength === 0) socket.setTimeout(2 * clientTimeoutMs);
    else destroyUnlessMoving(socket);
  });
  const end = (code: string, socket: Duplex): void => {
    // One whose request is not whole has not been begun: it is this that is late.
    const isBegun = [...dueOn(socket)].some(({ headersSent, req }) => headersSent || req.complete);
    const last = newest.get(socket);
    const isRefused = last?.headersSent && !last.req.complete;
    if (socket.writable && !isBegun && !isRefused && code !== "ECONNRESET")
      socket.end(answerTo(code), () => socket.destroy());
    else socket.destroy();
  };
  // What is written before the handshake is never sent, so there nothing is told.
  server.prependListener("tlsClientError", (_, socket: Duplex) => socket.destroy());
  server.on("connect", (_, socket) => end(NO_PROXY, socket));
  // Node answers what is expected beyond 100-continue with no body.
  server.on("checkExpectation", (request, answer) => server.emit("request", request, answer));
  server.on("clientError", ({ code = "" }: NodeJS.ErrnoException, socket: Duplex) => {
    if (code !== "ERR_HTTP_REQUEST_TIMEOUT") return end(code, socket);
    const last = newest.get(socket);
    const before = last?.req.complete ? last : undefined;
    setImmediate(() => {
      const late = newest.get(socket);
      // Not whether something has come: who sends a byte at a time is late.
      if (late === before || !late?.req.complete) end(code, socket);
    });
  });
}

/** Each byte begins the time of a connection anew. */
function destroyUnlessMoving(socket: Socket): void {
  const { bytesRead, writableLength } = socket;
  setImmediate(() => {
    if (socket.bytesRead === bytesRead && socket.writableLength >= writableLength) socket.destroy();
  });
}

/** An answer as it stands on the wire, after which the connection ends. */
function answerTo(fault: string): string {
  const known = FAULTS[fault] ?? [400, "invalid_request", "The request is not valid HTTP"];
  const { status, body } = errorAnswer(new ApiError(...known));
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${status} ${REASONS[status] ?? "Error"}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(text)}`,
    `x-request-id: ${crypto.randomUUID()}`,
    "connection: close",
    "",
    text,
  ].join("\r\n");
}
