/**
 * @file The token counts in the events of a stream: none, only in the last event, or on request also the counts so far in all of
 * them (vLLM's `continuous_usage_stats`).
 */
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import type { TextJob } from "../../engine/serving-model.ts";
import type { TextSettings } from "../wire.ts";
import { usageOf } from "./text-job.ts";
import type { NumberedPiece } from "./write-texts.ts";

export class StreamUsage {
  readonly #options: TextSettings["stream_options"];
  readonly #jobs: readonly TextJob[];
  readonly #numPrompts: number;
  /** New tokens of each text. */
  readonly #numNew: number[];

  constructor({ stream_options }: TextSettings, jobs: readonly TextJob[], numPrompts = 1) {
    this.#options = stream_options;
    this.#jobs = jobs;
    this.#numPrompts = numPrompts;
    this.#numNew = jobs.map(() => 0);
  }

  /** Counts the token of a piece. */
  add({ index, token, told }: NumberedPiece): void {
    if (token ?? told) this.#numNew[index]!++;
  }

  /** The usage in an event of a text. */
  of(index: number): { readonly usage?: object | null } {
    if (!this.#options?.include_usage) return {};
    if (!this.#options.continuous_usage_stats) return { usage: null };
    const [prompt, completion] = [this.#jobs[index]!.promptIds.length, this.#numNew[index]!];
    const usage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
    return { usage };
  }

  /** The last event, with the usage; null: there is none. */
  atEnd(ends: readonly ServeEnd[]): { readonly choices: readonly []; readonly usage: object } | null {
    return this.#options?.include_usage ? { choices: [], usage: usageOf(ends, this.#numPrompts) } : null;
  }
}
