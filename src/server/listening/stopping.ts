/**
 * @file The end of a server on a port. As long as anything is under way it goes on to listen, so that who asks anew, and load
 * balancers, hear that it stops, and are not refused a connection.
 */
import { once } from "node:events";
import type { Server, ServerResponse } from "node:http";

const IDLE_CHECK_MS = 50;

/** Stops a server: waits for what it answers, and for `work`, for as long at most, and ends all connections. */
export type StopServer = (graceMs: number, work?: Promise<unknown>) => Promise<void>;

/** Keeps account of what a server answers, from now on. */
export function stopperOf(server: Server): StopServer {
  const open = new Set<ServerResponse>();
  let isStopping = false;
  server.prependListener("request", (_, answer) => {
    answer.shouldKeepAlive &&= !isStopping;
    if (isStopping) return;
    open.add(answer);
    answer.once("close", () => open.delete(answer));
  });
  return async (graceMs, work) => {
    isStopping = true;
    const cut = (): void => server.closeAllConnections();
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
