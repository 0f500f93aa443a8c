/**
 * @file The numbers of a server by the names that vLLM gives them, for dashboards that were made for it: `vllm:…`, with the
 * base as `model_name`.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import type { ServingStats } from "../../engine/serving/serving-options.ts";
import { SECONDS, TOKEN_SECONDS } from "./metric-buckets.ts";

/** vLLM's word for the end of a text that nobody waits for. */
const ABORTED = "abort";

export class VllmMetrics {
  readonly #registry = new Registry();
  readonly #gauges: readonly (readonly [Gauge, (stats: ServingStats) => number])[];
  readonly #counters: readonly (readonly [Counter, (stats: ServingStats) => number])[];
  readonly #times: readonly (readonly [Histogram, (end: ServeEnd) => number | null])[];
  readonly #successes: Counter<"finished_reason">;

  constructor(modelName: string) {
    this.#registry.setDefaultLabels({ model_name: modelName });
    const registers = [this.#registry];
    const gauge = (name: string, help: string): Gauge => new Gauge({ name: `vllm:${name}`, help, registers });
    const counter = (name: string, help: string): Counter =>
      new Counter({ name: `vllm:${name}_total`, help, registers });
    const histogram = (name: string, help: string, buckets = SECONDS): Histogram =>
      new Histogram({ name: `vllm:${name}_seconds`, help, buckets: [...buckets], registers });
    this.#gauges = [
      [gauge("num_requests_running", "Texts that are being written"), ({ numRunning }) => numRunning],
      [gauge("num_requests_waiting", "Texts that wait"), ({ numWaiting }) => numWaiting],
      [
        gauge("kv_cache_usage_perc", "Share of the cache that texts hold, 0 to 1"),
        ({ numPagesHeld, numPages }) => numPagesHeld / numPages,
      ],
    ];
    this.#counters = [
      [counter("prompt_tokens", "Tokens of prompts"), ({ numPromptTokens }) => numPromptTokens],
      [counter("generation_tokens", "New tokens"), ({ numNewTokens }) => numNewTokens],
      [counter("prefix_cache_queries", "Tokens looked for"), ({ numPromptTokens }) => numPromptTokens],
      [counter("prefix_cache_hits", "Tokens that were cached"), ({ numCachedTokens }) => numCachedTokens],
      [counter("num_preemptions", "Texts that started again"), ({ numPreemptions }) => numPreemptions],
    ];
    this.#times = [
      [histogram("request_queue_time", "To the first step"), ({ queueMs }) => queueMs],
      [histogram("time_to_first_token", "To the first token"), ifWritten(({ firstTokenMs }) => firstTokenMs)],
      [
        histogram("request_prefill_time", "From the first step to the first token"),
        ifWritten(({ firstTokenMs, queueMs }) => firstTokenMs - queueMs),
      ],
      [
        histogram("request_decode_time", "From the first token to the end"),
        ifWritten(({ totalMs, firstTokenMs }) => totalMs - firstTokenMs),
      ],
      [
        histogram("inter_token_latency", "Between two tokens, on average over a text", TOKEN_SECONDS),
        ({ numNewTokens, totalMs, firstTokenMs }) =>
          numNewTokens > 1 ? (totalMs - firstTokenMs) / (numNewTokens - 1) : null,
      ],
      [histogram("e2e_request_latency", "To the end"), ({ totalMs }) => totalMs],
    ];
    this.#successes = new Counter({
      name: "vllm:request_success_total",
      help: "Texts that have ended",
      labelNames: ["finished_reason"],
      registers,
    });
  }

  /** Counts a text that has ended. */
  ended(end: ServeEnd): void {
    this.finished(end.finishReason === "aborted" ? ABORTED : end.finishReason);
    for (const [histogram, timeMs] of this.#times) {
      const ms = timeMs(end);
      if (ms !== null) histogram.observe(ms / 1000);
    }
  }

  /** Counts the end of a text by its reason alone. */
  finished(finished_reason: string): void {
    this.#successes.inc({ finished_reason });
  }

  /** All numbers as text. */
  async text(stats: ServingStats): Promise<string> {
    for (const [gauge, value] of this.#gauges) gauge.set(value(stats));
    for (const [counter, value] of this.#counters) {
      counter.reset();
      counter.inc(value(stats));
    }
    return await this.#registry.metrics();
  }
}

/** A time that there is only where a token was written. */
function ifWritten(timeMs: (end: ServeEnd) => number): (end: ServeEnd) => number | null {
  return (end) => (end.numNewTokens > 0 ? timeMs(end) : null);
}
