/** @file Reads the body of a request. One limit applies to each body, another to all bodies in memory together. */
import type { Context } from "hono";
import { ApiError } from "../api-error.ts";
import { type Limits, bodyMemory } from "./limits.ts";

export class BodyReader {
  readonly #maxBytes: number;
  readonly #maxTotal: number;
  #total = 0;

  constructor(limits: Pick<Limits, "maxBodyBytes">) {
    this.#maxBytes = limits.maxBodyBytes;
    this.#maxTotal = bodyMemory(limits);
  }

  /** Bytes of bodies in memory. */
  get total(): number {
    return this.#total;
  }

  /**
   * Reads a body and calls `use` with it; its bytes count until `use` is done.
   * @throws ApiError 413 for one that is too large, 415 for one that is compressed, 400 for one that is cut off, 503 when all
   * bodies together are too much
   */
  async read<T>(context: Context, use: (bytes: Uint8Array<ArrayBuffer>) => Promise<T>): Promise<T> {
    const encoding = context.req.header("content-encoding") || "identity";
    if (encoding.toLowerCase() !== "identity") {
      throw new ApiError(
        415,
        "unsupported_encoding",
        `The body is encoded as "${encoding}", expected no content encoding`,
      );
    }
    if (Number(context.req.header("content-length") ?? 0) > this.#maxBytes) throw this.#tooLarge();
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    try {
      for await (const chunk of chunksOf(context.req.raw.body)) {
        sizeBytes += chunk.length;
        this.#total += chunk.length;
        if (sizeBytes > this.#maxBytes) throw this.#tooLarge();
        if (this.#total > this.#maxTotal) {
          throw new ApiError(503, "overloaded", "Too many large requests in progress; try again shortly", {
            retrySeconds: 1,
          });
        }
        chunks.push(chunk);
      }
      return await use(Buffer.concat(chunks));
    } finally {
      this.#total -= sizeBytes;
    }
  }

  #tooLarge(): ApiError {
    return new ApiError(413, "body_too_large", `The body has more than ${this.#maxBytes} bytes`);
  }
}

async function* chunksOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array, void, void> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const step = await reader.read().catch(() => {
        throw new ApiError(400, "body_cut_off", "The body is truncated");
      });
      if (step.done) return;
      yield step.value;
    }
  } finally {
    reader.releaseLock();
  }
}
