/** @file A small store of objects over HTTP, as much of S3 as jobs use; it holds every request against the key and the hash of its body. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

const KEYS = { AWS_ACCESS_KEY_ID: "test-key", AWS_SECRET_ACCESS_KEY: "test-secret" };
export const BUCKET = "models";

interface S3Server {
  readonly env: NodeJS.ProcessEnv;
  readonly objects: Map<string, Uint8Array>;
  /** Requests that have come, as "PUT key". */
  readonly asked: string[];
  /** Whether a request is cut off without an answer. */
  drops: (request: string) => boolean;
  /** Whether a request is answered with an error. */
  refuses: (request: string) => boolean;
  close(): Promise<void>;
}

/** Keys a page of a list. */
const PAGE = 3;

export async function startS3(): Promise<S3Server> {
  const objects = new Map<string, Uint8Array>();
  const asked: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "", "http://store");
    const [, bucket, ...rest] = url.pathname.split("/");
    const key = decodeURIComponent(rest.join("/"));
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const said = `${request.method} ${key}`;
    asked.push(said);
    if (server.drops(said)) return void request.socket.destroy();
    const refuse = (status: number, code: string): void => {
      response.writeHead(status).end(`<Error><Code>${code}</Code></Error>`);
    };
    if (server.refuses(said)) return refuse(403, "AccessDenied");
    const { authorization = "", "x-amz-content-sha256": sha256, "x-amz-date": date } = request.headers;
    const signed =
      /^AWS4-HMAC-SHA256 Credential=test-key\/\d{8}\/us-east-1\/s3\/aws4_request, .*Signature=[0-9a-f]{64}$/;
    if (!signed.test(authorization) || date === undefined) return refuse(403, "InvalidAccessKeyId");
    if (sha256 !== createHash("sha256").update(body).digest("hex"))
      return refuse(400, "XAmzContentSHA256Mismatch");
    if (bucket !== BUCKET) return refuse(404, "NoSuchBucket");
    if (url.searchParams.has("list-type")) {
      const from = Number(url.searchParams.get("continuation-token") ?? 0);
      const found = [...objects.keys()].filter((each) =>
        each.startsWith(url.searchParams.get("prefix") ?? ""),
      );
      const keys = found.slice(from, from + PAGE).map((each) => `<Contents><Key>${each}</Key></Contents>`);
      const isMore = from + PAGE < found.length;
      const next = isMore ? `<NextContinuationToken>${from + PAGE}</NextContinuationToken>` : "";
      return void response.end(`<ListBucketResult>${keys.join("")}${next}</ListBucketResult>`);
    }
    // S3 takes no object of which it does not know the length before.
    if (request.method === "PUT" && request.headers["content-length"] !== String(body.length))
      return refuse(411, "MissingContentLength");
    if (request.method === "PUT") objects.set(key, body);
    if (request.method === "DELETE") objects.delete(key);
    if (request.method !== "GET") return void response.end();
    const bytes = objects.get(key);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (bytes && first) response.writeHead(206).end(bytes.subarray(Number(first), Number(last) + 1));
    else if (bytes) response.end(bytes);
    else refuse(404, "NoSuchKey");
  };
  const listening = createServer((request, response) => void answer(request, response));
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  const endpoint = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  const server: S3Server = {
    env: { ...KEYS, AWS_ENDPOINT_URL: endpoint },
    objects,
    asked,
    drops: () => false,
    refuses: () => false,
    close: async () => {
      listening.closeAllConnections();
      await new Promise((resolve) => listening.close(resolve));
    },
  };
  return server;
}
