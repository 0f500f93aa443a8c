/**
 * @file Limits what clients may do to a connection: slow ones are disconnected, and those that do not speak HTTP get an error.
 *
 * Nothing is written to a connection on which an answer has begun: it would end up in the middle of the answer.
 */
import type { Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { ApiError, errorAnswer } from "../api-error.ts";

/** The method of a request to connect to another server. Node does not report it as an error. */
const NO_PROXY = "CONNECT";

/** Node's error code → the answer to the client. */
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
 * Watches the connections of a server. After the process was busy, timers run before the data that arrived meanwhile is read. So
 * each connection is read once more before its client counts as late; otherwise a request could be lost because the server was
 * slow.
 */
export function boundClients(server: Server, clientTimeoutMs: number): void {
  /** Unfinished answers, by connection. */
  const due = new WeakMap<Duplex, Set<ServerResponse>>();
  const dueOn = (socket: Duplex): ReadonlySet<ServerResponse> => due.get(socket) ?? new Set();
  /** The newest answer on each connection. */
  const newest = new WeakMap<Duplex, ServerResponse>();
  server.prependListener("request", ({ socket }, answer) => {
    newest.set(socket, answer);
    const own = due.get(socket) ?? new Set<ServerResponse>();
    due.set(socket, own.add(answer));
    answer.once("close", () => own.delete(answer));
  });
  // A client that is late with a request gets an error first; this handles those that send nothing at all, and those that do not
  // read.
  server.setTimeout(2 * clientTimeoutMs, (socket: Socket) => {
    // A client may wait for an answer, since requests have their own time limit, but it must read what was sent.
    if (dueOn(socket).size > 0 && socket.writableLength === 0) socket.setTimeout(2 * clientTimeoutMs);
    else destroyUnlessMoving(socket);
  });
  const end = (code: string, socket: Duplex): void => {
    // An answer to an incomplete request has not begun: it is this request that is late.
    const isBegun = [...dueOn(socket)].some(({ headersSent, req }) => headersSent || req.complete);
    const last = newest.get(socket);
    const isRefused = last?.headersSent && !last.req.complete;
    if (socket.writable && !isBegun && !isRefused && code !== "ECONNRESET")
      socket.end(answerTo(code), () => socket.destroy());
    else socket.destroy();
  };
  // What is written before the handshake is never sent, so there is no error answer.
  server.prependListener("tlsClientError", (_, socket: Duplex) => socket.destroy());
  server.on("connect", (_, socket) => end(NO_PROXY, socket));
  // For an `Expect` header other than 100-continue, Node would answer without a body.
  server.on("checkExpectation", (request, answer) => server.emit("request", request, answer));
  server.on("clientError", ({ code = "" }: NodeJS.ErrnoException, socket: Duplex) => {
    if (code !== "ERR_HTTP_REQUEST_TIMEOUT") return end(code, socket);
    const last = newest.get(socket);
    const before = last?.req.complete ? last : undefined;
    setImmediate(() => {
      const late = newest.get(socket);
      // Bytes alone do not count: a client that sends one byte at a time is late.
      if (late === before || !late?.req.complete) end(code, socket);
    });
  });
}

/** Destroys a connection unless bytes were read or written just now. */
function destroyUnlessMoving(socket: Socket): void {
  const { bytesRead, writableLength } = socket;
  setImmediate(() => {
    if (socket.bytesRead === bytesRead && socket.writableLength >= writableLength) socket.destroy();
  });
}

/** An error answer in HTTP, after which the connection ends. */
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
