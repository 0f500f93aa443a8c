/** @file The metrics of a server by vLLM's names, for dashboards made for vLLM: `vllm:…`, with the base as `model_name`. */
import type { Counter, Gauge } from "prom-client";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import type { ServingStats } from "../../engine/serving/serving-options.ts";
import { MetricSet } from "./metric-set.ts";
import { TOKEN_SECONDS, ifWritten, perTokenMs } from "./text-times.ts";

/** vLLM's word for the end of an aborted text. */
const ABORTED = "abort";

/** Most adapters at a time, and the adapters of texts, separated by commas; all information is in the labels. */
const ADAPTER_LABELS = ["max_lora", "running_lora_adapters", "waiting_lora_adapters"] as const;

export class VllmMetrics {
  readonly #set: MetricSet;
  readonly #successes: Counter<"finished_reason">;
  readonly #adapters: Gauge<(typeof ADAPTER_LABELS)[number]>;

  constructor(modelName: string) {
    const set = (this.#set = new MetricSet("vllm:", { model_name: modelName }));
    set.gauge("num_requests_running", "Texts being generated", ({ numRunning }) => numRunning);
    set.gauge("num_requests_waiting", "Texts waiting", ({ numWaiting }) => numWaiting);
    const heldShare = ({ numPagesHeld, numPages }: ServingStats): number => numPagesHeld / numPages;
    set.gauge("kv_cache_usage_perc", "Share of the cache in use, 0 to 1", heldShare);
    set.counter("prompt_tokens", "Prompt tokens", ({ numPromptTokens }) => numPromptTokens);
    set.counter("generation_tokens", "New tokens", ({ numNewTokens }) => numNewTokens);
    set.counter(
      "prefix_cache_queries",
      "Prompt tokens looked up in the cache",
      ({ numPromptTokens }) => numPromptTokens,
    );
    set.counter(
      "prefix_cache_hits",
      "Prompt tokens found in the cache",
      ({ numCachedTokens }) => numCachedTokens,
    );
    set.counter("num_preemptions", "Texts restarted", ({ numPreemptions }) => numPreemptions);
    const firstTokenMs = ifWritten((end) => end.firstTokenMs);
    const prefillMs = ifWritten((end) => end.firstTokenMs - end.queueMs);
    const decodeMs = ifWritten((end) => end.totalMs - end.firstTokenMs);
    set.time("request_queue_time", "Time to the first step", ({ queueMs }) => queueMs);
    set.time("time_to_first_token", "Time to the first token", firstTokenMs);
    set.time("request_prefill_time", "Time from the first step to the first token", prefillMs);
    set.time("request_decode_time", "Time from the first token to the end", decodeMs);
    set.times("inter_token_latency", "Time between two tokens", ({ gapsMs }) => gapsMs, TOKEN_SECONDS);
    const perToken = "Time between two tokens, averaged over a text";
    set.time("request_time_per_output_token", perToken, perTokenMs, TOKEN_SECONDS);
    set.time("e2e_request_latency", "Time to the end", ({ totalMs }) => totalMs);
    this.#adapters = set.labelledGauge("lora_requests_info", "When this was measured", ADAPTER_LABELS);
    this.#successes = set.labelled("request_success", "Finished texts", ["finished_reason"]);
  }

  /** Counts a text that has ended. */
  ended(end: ServeEnd): void {
    this.finished(end.finishReason === "aborted" ? ABORTED : end.finishReason);
    this.#set.ended(end);
  }

  /** Counts the end of a text by its reason alone. */
  finished(finished_reason: string): void {
    this.#successes.inc({ finished_reason });
  }

  /** `nowSeconds`: the time since 1970; load balancers that keep earlier values use it to find the latest. */
  text(stats: ServingStats, nowSeconds: number): Promise<string> {
    const { maxRunning, runningAdapters, waitingAdapters } = stats;
    this.#adapters.reset();
    const labels = {
      max_lora: maxRunning,
      running_lora_adapters: listed(runningAdapters),
      waiting_lora_adapters: listed(waitingAdapters),
    };
    this.#adapters.set(labels, nowSeconds);
    return this.#set.text(stats);
  }
}

/** Each name once, sorted, so that the order reveals nothing. */
function listed(names: readonly string[]): string {
  return [...new Set(names)].sort().join(",");
}
