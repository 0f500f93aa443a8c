/**
 * @file Objects of an S3-compatible store, below a prefix of a bucket. aws4fetch signs the requests. After a lost connection, or
 * when the store is busy, requests are repeated for a while. That is safe: an object is put whole, and the signature covers its
 * bytes.
 */
import { AwsV4Signer } from "aws4fetch";
import type { Environment } from "../../environment.ts";
import { GraftError, UsageError } from "../../errors.ts";
import type { Clock } from "../queue/clock.ts";
import { StoreAwayError, StoreRefusesError } from "./store-errors.ts";
import { type StoredContent, storedBytes } from "./stored-content.ts";

/** Waits between tries, in milliseconds. */
const WAITS_MS = [100, 400, 1600, 6000, 15_000];
/** Time limit of a try, and the bytes for which it gets a further millisecond: 2 Mbit/s. */
const [REQUEST_MS, BYTES_PER_MS] = [120_000, 250];
/** How much of an object is read at a time. */
const PIECE_BYTES = 1 << 25;

/** The content of a request without one. */
const NOTHING = storedBytes(new Uint8Array());

interface StoreAddress {
  readonly bucket: string;
  /** Empty, or ends in "/". */
  readonly prefix: string;
  /** Where the store answers, without the bucket. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Reads s3://BUCKET/PREFIX, and the environment as AWS's own programs do. @throws UsageError "usage/flag" */
export function storeAddress(url: string, env: Environment): StoreAddress {
  const [, bucket, path = ""] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([\w./-]*))?$/.exec(url) ?? [];
  if (bucket === undefined) {
    throw new UsageError(
      "usage/flag",
      `Cannot use --store "${url}", expected s3://BUCKET or s3://BUCKET/PREFIX`,
      { hint: "The address of the store itself is AWS_ENDPOINT_URL." },
    );
  }
  const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = env;
  if (accessKeyId === "" || secretAccessKey === "") {
    throw new UsageError(
      "usage/flag",
      `Cannot use --store "${url}" without keys, expected them in the environment`,
      { hint: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY." },
    );
  }
  const region = env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || "us-east-1";
  const endpoint =
    env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"] ?? `https://s3.${region}.amazonaws.com`;
  if (!/^https?:\/\/[^@?#]+$/.test(endpoint) || !URL.canParse(endpoint)) {
    // An address with more than a host may contain a secret, so it is not shown.
    const shown = /[@?#]/.test(endpoint) ? "" : ` "${endpoint}"`;
    throw new UsageError(
      "usage/flag",
      `Cannot use the address${shown} of the store, expected http://HOST or https://HOST`,
      { hint: "It is AWS_ENDPOINT_URL_S3, else AWS_ENDPOINT_URL." },
    );
  }
  const prefix = path.replace(/\/*$/, path === "" ? "" : "/");
  const sessionToken = env["AWS_SESSION_TOKEN"];
  return {
    bucket,
    prefix,
    endpoint: endpoint.replace(/\/+$/, ""),
    region,
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}

interface StoreRequest {
  readonly method: "GET" | "PUT" | "DELETE";
  /** The action, for messages. */
  readonly verb: string;
  readonly key: string;
  readonly content?: StoredContent;
  /** Only these bytes of an object: the index of the first and of the last. */
  readonly range?: readonly [number, number];
  /** Query of a request to the bucket instead of the key. */
  readonly query?: URLSearchParams;
  /** Stops further tries. */
  readonly signal?: AbortSignal | undefined;
}

interface Answer {
  readonly status: number;
  readonly bytes: Uint8Array;
}

export class S3Store {
  readonly #address: StoreAddress;
  readonly #clock: Pick<Clock, "sleep">;

  constructor(address: StoreAddress, clock: Pick<Clock, "sleep">) {
    this.#address = address;
    this.#clock = clock;
  }

  /** Returns null if there is no such object. @throws FailedError "failed/store" */
  async get(key: string): Promise<Uint8Array | null> {
    const { status, bytes } = await this.#ask({ method: "GET", verb: "read", key });
    return status === 404 ? null : bytes;
  }

  /** The bytes of an object of known size, piece by piece; fewer if it is removed meanwhile. @throws as `get` */
  async *piecesOf(key: string, sizeBytes: number): AsyncGenerator<Uint8Array, void, void> {
    for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
      const range = [at, Math.min(at + PIECE_BYTES, sizeBytes) - 1] as const;
      const { status, bytes } = await this.#ask({ method: "GET", verb: "read", key, range });
      if (status !== 404) yield bytes;
    }
  }

  /** @throws FailedError "failed/store"; as reading the content */
  async put(key: string, content: StoredContent): Promise<void> {
    await this.#ask({ method: "PUT", verb: "write", key, content });
  }

  /** Removes an object, if it exists. @throws FailedError "failed/store" */
  async remove(key: string): Promise<void> {
    await this.#ask({ method: "DELETE", verb: "remove", key });
  }

  /** Lists keys that begin with `start`, unless the signal aborts first. @throws FailedError "failed/store" */
  async list(start: string, signal?: AbortSignal): Promise<string[]> {
    const { prefix } = this.#address;
    const keys: string[] = [];
    for (let next: string | undefined = ""; next !== undefined;) {
      const query = new URLSearchParams({ "list-type": "2", prefix: prefix + start });
      if (next !== "") query.set("continuation-token", next);
      const { bytes } = await this.#ask({ method: "GET", verb: "list", key: "", query, signal });
      const text = new TextDecoder().decode(bytes);
      for (const [, key = ""] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) keys.push(key.slice(prefix.length));
      next = /<NextContinuationToken>([^<]+)</.exec(text)?.[1];
    }
    return keys;
  }

  /**
   * Repeats a request for a while if the store may answer differently. @throws FailedError "failed/store"; as reading the content
   */
  async #ask(request: StoreRequest): Promise<Answer> {
    const { signal } = request;
    for (let at = 0; ; at++) {
      try {
        return await this.#askOnce(request);
      } catch (error) {
        const isAway = error instanceof StoreAwayError && !(error instanceof StoreRefusesError);
        const waitMs = WAITS_MS[at];
        if (!isAway || waitMs === undefined || signal?.aborted) throw error;
        await this.#clock.sleep(waitMs, signal);
      }
    }
  }

  async #askOnce(request: StoreRequest): Promise<Answer> {
    const { method, query } = request;
    const answer = await this.#send(request).catch((error: unknown) => {
      throw this.#error(request, connectionFault(error, request));
    });
    const { status, bytes } = answer;
    const code = status < 300 ? "" : codeOf(bytes);
    const isMissing = status === 404 && code !== "NoSuchBucket" && !query && method !== "PUT";
    if (status < 300 || isMissing) return answer;
    const isBusy = status >= 500 || status === 429 || status === 408;
    throw this.#error(request, `${status} ${code}`.trim(), isBusy ? StoreAwayError : StoreRefusesError);
  }

  async #send({ method, key, query, content, range, signal }: StoreRequest): Promise<Answer> {
    const { bucket, prefix, endpoint } = this.#address;
    const url = `${endpoint}/${bucket}${query ? `?${query.toString()}` : `/${prefix}${key}`}`;
    const signer = new AwsV4Signer({
      ...this.#address,
      service: "s3",
      method,
      url,
      headers: {
        "x-amz-content-sha256": content?.sha256 ?? NOTHING.sha256,
        ...(content && { "content-length": String(content.sizeBytes) }),
        ...(range && { range: `bytes=${range.join("-")}` }),
      },
    });
    const signed = await signer.sign();
    const timeoutMs = REQUEST_MS + Math.ceil((content?.sizeBytes ?? 0) / BYTES_PER_MS);
    const response = await fetch(signed.url, {
      method,
      headers: signed.headers,
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]),
      // Without the last two, fetch would keep all that is sent, to send it again after a redirect.
      ...(content && {
        body: ReadableStream.from(content.pieces()),
        duplex: "half",
        redirect: "error",
        window: null,
      }),
    });
    return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
  }

  #error({ verb, key }: StoreRequest, found: string, Kind = StoreAwayError): StoreAwayError {
    const { bucket, prefix, endpoint } = this.#address;
    return new Kind(
      "failed/store",
      `Cannot ${verb} "s3://${bucket}/${prefix}${key}" at ${endpoint}: ${found}`,
      { hint: "Check AWS_ENDPOINT_URL and the keys in AWS_*, and that the bucket exists." },
    );
  }
}

/** Describes the fault of a connection. @throws errors of any other kind, for instance that the content could not be read */
function connectionFault(error: unknown, { signal }: StoreRequest): string {
  const { message, cause } = error as Error;
  if (cause instanceof GraftError) throw cause;
  // For a lost connection, fetch throws an error with a cause; a timeout is thrown directly.
  const isLost = error instanceof DOMException || (error instanceof TypeError && cause instanceof Error);
  if (!isLost && !signal?.aborted) throw error;
  return cause instanceof Error && cause.message !== "" ? cause.message : message;
}

function codeOf(bytes: Uint8Array): string {
  return /<Code>([^<]{1,100})<\/Code>/.exec(new TextDecoder().decode(bytes.subarray(0, 4096)))?.[1] ?? "";
}
