/** @file Streams that are being written, by the ids that clients know, so that one can go on in another server. */
import { ApiError } from "./api-error.ts";

/** A request as JSON, for another server of the same base and adapter to go on with. */
export interface MovedRequest {
  readonly version: 1;
  readonly id: string;
  readonly created: number;
  /** The route that it was sent to, and what was sent, with the seed that was drawn. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Ids of the new tokens that have been told. */
  readonly written_ids: readonly number[];
}

/** What another server has written of a request that goes on here. */
export type Resumed = Pick<MovedRequest, "id" | "created" | "written_ids">;

/** A text of a stream. */
export interface RunningText {
  readonly numTexts: number;
  readonly request: Omit<MovedRequest, "version" | "written_ids">;
  /** Ends the text, and waits until what was written of it has been told; false: it has ended before. */
  stop(): Promise<{ readonly writtenIds: readonly number[]; readonly wasStopped: boolean }>;
}

export class RunningRequests {
  readonly #texts = new Map<string, RunningText>();

  /** Keeps a text until the function that is given back is called. */
  add(text: RunningText): () => void {
    const { id } = text.request;
    this.#texts.set(id, text);
    return () => void this.#texts.delete(id);
  }

  /** Ends a request here, and describes where it is. @throws ApiError 404 for one that does not run, 400 for several texts */
  async move(id: string): Promise<MovedRequest> {
    const text = this.#texts.get(id);
    const ended = (): ApiError =>
      new ApiError(404, `No stream with the id "${id}" that can go on elsewhere is being written`, {
        code: "request_not_found",
        param: "id",
      });
    if (!text) throw ended();
    if (text.numTexts > 1) {
      throw new ApiError(400, `The request has ${text.numTexts} texts, expected one: let it end`, {
        code: "request_not_movable",
        param: "id",
      });
    }
    const { writtenIds, wasStopped } = await text.stop();
    if (!wasStopped) throw ended();
    return { version: 1, ...text.request, written_ids: writtenIds };
  }
}
