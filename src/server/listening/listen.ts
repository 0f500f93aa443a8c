/** @file A server on a port: it listens, limits slow and faulty clients, and stops when running requests have been answered. */
import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import { FailedError } from "../../errors.ts";
import { errorAnswer, noAddress } from "../api-error.ts";
import { boundClients } from "./client-bounds.ts";
import { dropRest } from "./drop-rest.ts";
import { type ReadTls, followTls } from "./follow-tls.ts";

const IDLE_CHECK_MS = 50;
const CLIENT_TIMEOUT_MS = 60_000;
const TLS_CHECK_MS = 60_000;
/** System error codes about the port; others are about the host. */
const OF_PORTS = new Set(["EADDRINUSE", "EACCES"]);

interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Reads the TLS files; absent, or if it returns null: plain HTTP. Renewed files are loaded. */
  readonly readTls?: ReadTls;
  /** How often TLS files are checked; a minute unless given. */
  readonly tlsCheckMs?: number;
  /** Receives errors of renewed files that are invalid. */
  readonly onTrouble?: (error: unknown) => void;
  /** How long a client may take to send a request, to continue reading, or to send the next request; a minute unless given. */
  readonly clientTimeoutMs?: number;
}

export interface Listening {
  readonly url: string;
  /**
   * Stops a server: waits at most `graceMs` for running answers and for `work`, then ends all connections. It keeps listening
   * meanwhile, so that new requests, and load balancers, are told that it stops.
   */
  readonly stop: (graceMs: number, work?: Promise<unknown>) => Promise<void>;
}

/** Checks whether a port is free, so that a second server fails before it loads a model. @throws as `listen` */
export async function requirePort({ host, port }: Pick<ListenOptions, "host" | "port">): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await listenOn(probe, host, port);
  await new Promise((closed) => probe.close(closed));
}

/** A host in the form used in URLs. */
function inUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** @throws FailedError "server/port" */
async function listenOn(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((done, fail) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const found = cause.code === "EADDRINUSE" ? "another program is listening there" : cause.message;
      const hint = OF_PORTS.has(cause.code ?? "")
        ? "Choose another port, or 0 for any free port."
        : "Give --host an address of this machine, such as 127.0.0.1 or ::1, or 0.0.0.0 for all of them.";
      const place = `${inUrl(host)}:${port}`;
      fail(new FailedError("server/port", `Cannot listen on ${place}: ${found}`, { hint, cause }));
    });
    server.listen(port, host, done);
  });
}

/** Begins to listen. @throws FailedError "server/port" when the port is taken or cannot be used; what `readTls` throws */
export async function listen(app: Hono, options: ListenOptions): Promise<Listening> {
  const { host, port, readTls = async () => null } = options;
  // Node accepts whole milliseconds only.
  const clientTimeoutMs = Math.ceil(options.clientTimeoutMs ?? CLIENT_TIMEOUT_MS);
  const tls = await readTls();
  const timeouts = {
    headersTimeout: clientTimeoutMs,
    requestTimeout: clientTimeoutMs,
    keepAliveTimeout: clientTimeoutMs,
    connectionsCheckingInterval: Math.ceil(clientTimeoutMs / 4),
    // Node's own answer to a request without a host has no body.
    requireHostHeader: false,
  };
  const answer = listenerOf(app);
  const tlsServer =
    tls && createTlsServer({ ...timeouts, ...tls, handshakeTimeout: clientTimeoutMs }, answer);
  const server: Server = tlsServer ?? createServer(timeouts, answer);
  boundClients(server, clientTimeoutMs);
  const stop = stopperOf(server);
  await listenOn(server, host, port);
  const { port: actual } = server.address() as AddressInfo;
  const url = `${tls === null ? "http" : "https"}://${inUrl(host)}:${actual}`;
  const { tlsCheckMs: everyMs = TLS_CHECK_MS, onTrouble = () => {} } = options;
  const unfollow =
    tls &&
    followTls(readTls, tls, { everyMs, onTrouble, use: (files) => tlsServer?.setSecureContext(files) });
  return {
    url,
    stop: (graceMs, work) => {
      unfollow?.();
      return stop(graceMs, work);
    },
  };
}

/** Requests that never reach a route are answered in the same form. */
function listenerOf(app: Hono): (request: IncomingMessage, answer: ServerResponse) => void {
  const errorHandler = (): Response => {
    const { status, body } = errorAnswer(noAddress());
    return Response.json(body, { status, headers: { "x-request-id": crypto.randomUUID() } });
  };
  const answer = getRequestListener(app.fetch, { errorHandler });
  return (incoming, outgoing) => {
    // HTTP/1.0 does not require a host; checks of load balancers send none.
    if (incoming.httpVersion === "1.0") incoming.headers.host ??= "localhost";
    dropRest(incoming, outgoing);
    void answer(incoming, outgoing);
  };
}

/** Tracks the answers of a server from now on. */
function stopperOf(server: Server): Listening["stop"] {
  const open = new Set<ServerResponse>();
  // Node's own list lacks connections that have not finished the TLS handshake.
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  let isStopping = false;
  server.prependListener("request", (_, answer) => {
    answer.shouldKeepAlive &&= !isStopping;
    if (isStopping) return;
    open.add(answer);
    answer.once("close", () => open.delete(answer));
  });
  return async (graceMs, work) => {
    isStopping = true;
    const cut = (): void => {
      for (const socket of sockets) socket.destroy();
    };
    const end = performance.now() + graceMs;
    const timer = setTimeout(cut, graceMs);
    // Clients keep connections open for a next request, which would not be answered.
    const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
    for (const answer of open) answer.shouldKeepAlive = false;
    await Promise.allSettled([work, ...[...open].map((answer) => once(answer, "close"))]);
    clearTimeout(timer);
    const closed = new Promise((resolve) => server.close(resolve));
    const last = setTimeout(cut, Math.max(0, end - performance.now()));
    await closed;
    clearInterval(idle);
    clearTimeout(last);
  };
}
