/** @file The metrics of a server in the text format of Prometheus. */
import type { Counter } from "prom-client";
import type { ServingStats } from "../../engine/serving/serving-options.ts";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import { MetricSet } from "./metric-set.ts";
import { TOKEN_SECONDS, ifWritten } from "./text-times.ts";
import { VllmMetrics } from "./vllm-metrics.ts";

/** Most adapters with their own label; the others share one. */
const MAX_LABELS = 100;
const OTHERS = "other";
/** The finish reason of a text that failed. */
const FAILED = "error";

export class ServerMetrics {
  readonly #set = new MetricSet("graft_");
  readonly #labels = new Set<string>();
  readonly #requests: Counter<"adapter" | "finished_reason">;
  readonly #tokens: Counter<"adapter" | "kind">;
  readonly #vllm: VllmMetrics;

  /** `modelName`: the name of the base for clients. */
  constructor(modelName: string) {
    this.#vllm = new VllmMetrics(modelName);
    const set = this.#set;
    set.gauge("requests_running", "Texts being generated", ({ numRunning }) => numRunning);
    const waiting = "Texts waiting for memory or for a slot";
    set.gauge("requests_waiting", waiting, ({ numWaiting }) => numWaiting);
    set.gauge("cache_pages", "Pages of keys and values in total", ({ numPages }) => numPages);
    set.gauge("cache_pages_held", "Pages in use", ({ numPagesHeld }) => numPagesHeld);
    const preemptions = "Times that a text lost its pages and was restarted";
    set.counter("preemptions", preemptions, ({ numPreemptions }) => numPreemptions);
    const prompts = "Prompt tokens of texts that have started";
    set.counter("prompt_tokens", prompts, ({ numPromptTokens }) => numPromptTokens);
    const cached = "Prompt tokens found in the cache";
    set.counter("cached_prompt_tokens", cached, ({ numCachedTokens }) => numCachedTokens);
    set.counter("new_tokens", "New tokens", ({ numNewTokens }) => numNewTokens);
    set.counter("steps", "Engine steps", ({ numSteps }) => numSteps);
    this.#requests = set.labelled("requests", "Finished texts", ["adapter", "finished_reason"]);
    this.#tokens = set.labelled("tokens", "Tokens of finished texts", ["adapter", "kind"]);
    set.time("request_queue_time", "Time from the request to its first step", ({ queueMs }) => queueMs);
    const firstTokenMs = ifWritten((end) => end.firstTokenMs);
    set.time("time_to_first_token", "Time from the request to its first token", firstTokenMs);
    set.times("inter_token_latency", "Time between two tokens", ({ gapsMs }) => gapsMs, TOKEN_SECONDS);
    set.time("e2e_request_latency", "Time from the request to its end", ({ totalMs }) => totalMs);
  }

  get contentType(): string {
    return this.#set.contentType;
  }

  /** Counts a text when it has ended, whatever the reason. `numBefore`: new tokens that another server had already written. */
  async count(adapter: string, write: () => Promise<ServeEnd>, numBefore = 0): Promise<ServeEnd> {
    const label = this.#label(adapter);
    try {
      const end = await write();
      this.#ended(label, { ...end, numNewTokens: end.numNewTokens - numBefore });
      return end;
    } catch (error) {
      this.#requests.inc({ adapter: label, finished_reason: FAILED });
      this.#vllm.finished(FAILED);
      throw error;
    }
  }

  #ended(label: string, end: ServeEnd): void {
    this.#vllm.ended(end);
    this.#requests.inc({ adapter: label, finished_reason: end.finishReason });
    this.#tokens.inc({ adapter: label, kind: "prompt" }, end.numPromptTokens);
    this.#tokens.inc({ adapter: label, kind: "new" }, end.numNewTokens);
    this.#set.ended(end);
  }

  /** All metrics as text; `nowSeconds`: the time since 1970. */
  async text(stats: ServingStats, nowSeconds: number): Promise<string> {
    const { runningAdapters, waitingAdapters } = stats;
    const labelled = (adapters: readonly string[]): string[] => adapters.map((name) => this.#label(name));
    const shown = {
      ...stats,
      runningAdapters: labelled(runningAdapters),
      waitingAdapters: labelled(waitingAdapters),
    };
    return `${await this.#set.text(stats)}\n${await this.#vllm.text(shown, nowSeconds)}`;
  }

  #label(adapter: string): string {
    if (this.#labels.size < MAX_LABELS) this.#labels.add(adapter);
    return this.#labels.has(adapter) ? adapter : OTHERS;
  }
}
