/** @file Clients that speak HTTP by hand, so that they can speak it slowly, badly, or not at all. */
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { text } from "node:stream/consumers";

/** Connects to a server. */
export async function openSocket(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  // Servers cut some of these off, which is what is wanted.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** A POST request with JSON, as it stands on the wire. */
export function postText(path: string, body: object | string, headers: readonly string[] = []): string {
  const content = typeof body === "string" ? body : JSON.stringify(body);
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: x",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(content)}`,
    ...headers,
  ];
  return `${head.join("\r\n")}\r\n\r\n${content}`;
}

/** Sends text, and gives all that comes until the server ends the connection. */
export async function exchange(url: string, sent: string | Buffer): Promise<string> {
  const socket = await openSocket(url);
  socket.write(sent);
  return await text(socket);
}

/** Waits until something that has been received matches, or the connection has ended; what comes later stays for who reads next. */
export function receive(socket: Socket, pattern: RegExp): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = "";
  const end = (): void => {
    socket.off("data", take).off("close", end).pause();
    resolve(received);
  };
  const take = (chunk: Buffer): void => {
    received += chunk.toString("utf8");
    if (pattern.test(received)) end();
  };
  socket.on("data", take).on("close", end).resume();
  return promise;
}
