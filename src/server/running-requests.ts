/** @file The running streams, by the ids that clients know. Another server can continue one of them. */
import type { TokenLogProbs } from "../engine/sampling/token-log-probs.ts";
import type { WrittenToken } from "../engine/serving-model.ts";
import { ApiError } from "./api-error.ts";

/** A request as JSON, for another server of the same base and adapter to continue. */
interface MovedRequest {
  readonly version: 1;
  readonly id: string;
  readonly created: number;
  /** Route that the request was sent to, and its body, with the seed that was drawn. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Hash of the values of the adapter; null: the base alone. */
  readonly adapter: string | null;
  /** Ids of the new tokens that have been sent. */
  readonly written_ids: readonly number[];
  /** Their log-probabilities, if requested: the end of a response repeats them. */
  readonly written_log_probs?: readonly (TokenLogProbs | null)[] | undefined;
}

/** The part of a request that another server has handled. */
export type ResumedRequest = Pick<MovedRequest, "id" | "created" | "written_ids" | "written_log_probs">;

/** What has been sent of a stopped text. */
export interface StoppedText {
  readonly wasStopped: boolean;
  readonly written: readonly WrittenToken[];
  /** Hash of the values of the adapter that it was written with; null: the base alone. */
  readonly adapter: string | null;
}

export interface RunningText {
  readonly numTexts: number;
  readonly request: Pick<MovedRequest, "id" | "created" | "path" | "body">;
  /** Ends the text, and waits until what was written has been sent; `wasStopped` false: it ended before. */
  stop(): Promise<StoppedText>;
}

export class RunningRequests {
  readonly #texts = new Map<string, RunningText>();

  /** Registers a text until the returned function is called. */
  add(text: RunningText): () => void {
    const { id } = text.request;
    this.#texts.set(id, text);
    return () => void this.#texts.delete(id);
  }

  /** Ends a request here, and describes its state. @throws ApiError 404 for one that does not run, 400 for several texts */
  async move(id: string): Promise<MovedRequest> {
    const text = this.#texts.get(id);
    const ended = (): ApiError =>
      new ApiError(
        404,
        "request_not_found",
        `There is no running stream with the id "${id}" that can be moved to another server`,
        { param: "id" },
      );
    if (!text) throw ended();
    if (text.numTexts > 1) {
      throw new ApiError(
        400,
        "request_not_movable",
        `The request has ${text.numTexts} texts, expected one: let it finish`,
        { param: "id" },
      );
    }
    const { written, wasStopped, adapter } = await text.stop();
    if (!wasStopped) throw ended();
    return {
      version: 1,
      ...text.request,
      adapter,
      written_ids: written.map((token) => token.id),
      ...(written.some(({ logProbs }) => logProbs) && {
        written_log_probs: written.map(({ logProbs }) => logProbs),
      }),
    };
  }
}
