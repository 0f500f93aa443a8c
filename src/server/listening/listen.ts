/**
 * @file A server on a port: it begins to listen, bears slow and faulty clients, and stops when those who are served have been.
 */
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
/** Codes of the system for a port that is not to be had; others are of the host. */
const OF_PORTS = new Set(["EADDRINUSE", "EACCES"]);

interface ListenOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Not given, or null of it: plain HTTP. Files that are renewed are taken up. */
  readonly readTls?: ReadTls;
  /** How often they are looked at; a minute unless given. */
  readonly tlsCheckMs?: number;
  /** Is told of renewed files that do not do. */
  readonly onTrouble?: (error: unknown) => void;
  /** How long a client may take to send a request, to read on, or to ask again; a minute unless given. */
  readonly clientTimeoutMs?: number;
}

export interface Listening {
  readonly url: string;
  /**
   * Stops a server: waits for what it answers, and for `work`, for as long at most, and ends all connections. Meanwhile it goes on to
   * listen, so that who asks anew, and load balancers, hear that it stops.
   */
  readonly stop: (graceMs: number, work?: Promise<unknown>) => Promise<void>;
}

/** Finds out whether a port is free, so that a second server is told before it loads a model. @throws as `listen` */
export async function requirePort({ host, port }: Pick<ListenOptions, "host" | "port">): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  await listenOn(probe, host, port);
  await new Promise((closed) => probe.close(closed));
}

/** A host as addresses have it. */
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

/** Begins to listen. @throws FailedError "server/port" when the port is taken or not to be had; what `readTls` throws */
export async function listen(app: Hono, options: ListenOptions): Promise<Listening> {
  const { host, port, readTls = async () => null } = options;
  // Node takes whole milliseconds alone.
  const clientTimeoutMs = Math.ceil(options.clientTimeoutMs ?? CLIENT_TIMEOUT_MS);
  const tls = await readTls();
  const timeouts = {
    headersTimeout: clientTimeoutMs,
    requestTimeout: clientTimeoutMs,
    keepAliveTimeout: clientTimeoutMs,
    connectionsCheckingInterval: Math.ceil(clientTimeoutMs / 4),
    // Node's own answer to a request without one has no body.
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
    // HTTP/1.0 asks for no host, as checks of load balancers do.
    if (incoming.httpVersion === "1.0") incoming.headers.host ??= "localhost";
    dropRest(incoming, outgoing);
    void answer(incoming, outgoing);
  };
}

/** Keeps account of what a server answers, from now on. */
function stopperOf(server: Server): Listening["stop"] {
  const open = new Set<ServerResponse>();
  // Node's own list lacks those that have not done the handshake of TLS.
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
    // Clients keep connections open for their next request, which will not come.
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
