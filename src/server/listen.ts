/** @file A server on a port: it begins to listen, and stops when those who are served have been. */
import type { Server } from "node:http";
import { serve } from "@hono/node-server";
import type { Hono } from "hono";
import { FailedError } from "../errors.ts";

const IDLE_CHECK_MS = 50;

export interface ListenOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

export interface Listening {
  readonly url: string;
  /** Takes no new connections, waits until those that there are have ended, for as long at most, and then ends them. */
  readonly stop: (graceMs: number) => Promise<void>;
}

/** Begins to listen. @throws FailedError "server/port" when the port is taken or not to be had */
export async function listen(app: Hono, { host, port }: ListenOptions): Promise<Listening> {
  return await new Promise((done, fail) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, ({ port: actual }) => {
      const name = host.includes(":") ? `[${host}]` : host;
      done({ url: `http://${name}:${actual}`, stop: (graceMs) => stop(server, graceMs) });
    }) as Server;
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const found = cause.code === "EADDRINUSE" ? "another program listens there" : cause.message;
      fail(
        new FailedError("server/port", `Cannot listen on ${host}:${port}: ${found}`, {
          hint: "Choose another port, or 0 for any that is free.",
          cause,
        }),
      );
    });
  });
}

async function stop(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  // Clients keep connections open for their next request, which will not come.
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}
