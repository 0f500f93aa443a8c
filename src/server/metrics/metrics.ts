/** @file The metrics of a server in the text format of Prometheus. */
import type { Counter } from "prom-client";
import type { ServingStats } from "../../engine/serving/serving-options.ts";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import { MetricSet } from "./metric-set.ts";
import { TOKEN_SECONDS, ifWritten, perTokenMs } from "./text-times.ts";
import { VllmMetrics } from "./vllm-metrics.ts";

/** Adapters that have labels of their own; the others share one. */
const MAX_LABELS = 100;
const OTHERS = "other";
/** How a text ended that is no one's to read. */
const FAILED = "error";

export class ServerMetrics {
  readonly #set = new MetricSet("graft_");
  readonly #labels = new Set<string>();
  readonly #requests: Counter<"adapter" | "finished_reason">;
  readonly #tokens: Counter<"adapter" | "kind">;
  readonly #vllm: VllmMetrics;

  /** `modelName`: what clients call the base. */
  constructor(modelName: string) {
    this.#vllm = new VllmMetrics(modelName);
    const set = this.#set;
    set.gauge("requests_running", "Texts that are being written", ({ numRunning }) => numRunning);
    const waiting = "Texts that wait for memory or for a place";
    set.gauge("requests_waiting", waiting, ({ numWaiting }) => numWaiting);
    set.gauge("cache_pages", "Pages of keys and values that there are", ({ numPages }) => numPages);
    set.gauge("cache_pages_held", "Pages that texts hold", ({ numPagesHeld }) => numPagesHeld);
    const preemptions = "Times that a text lost its pages and started again";
    set.counter("preemptions", preemptions, ({ numPreemptions }) => numPreemptions);
    const prompts = "Tokens of prompts that have begun";
    set.counter("prompt_tokens", prompts, ({ numPromptTokens }) => numPromptTokens);
    const cached = "Tokens of prompts that did not run: they were cached";
    set.counter("cached_prompt_tokens", cached, ({ numCachedTokens }) => numCachedTokens);
    set.counter("new_tokens", "New tokens", ({ numNewTokens }) => numNewTokens);
    set.counter("steps", "Steps of the engine", ({ numSteps }) => numSteps);
    this.#requests = set.labelled("requests", "Texts that have ended", ["adapter", "finished_reason"]);
    this.#tokens = set.labelled("tokens", "Tokens of texts that have ended", ["adapter", "kind"]);
    set.time("request_queue_time", "From the request to its first step", ({ queueMs }) => queueMs);
    const firstTokenMs = ifWritten((end) => end.firstTokenMs);
    set.time("time_to_first_token", "From the request to its first token", firstTokenMs);
    const perToken = "Between two tokens, on average over a text";
    set.time("inter_token_latency", perToken, perTokenMs, TOKEN_SECONDS);
    set.time("e2e_request_latency", "From the request to its end", ({ totalMs }) => totalMs);
  }

  get contentType(): string {
    return this.#set.contentType;
  }

  /** Counts a text when it has ended, however it did. `numBefore`: new tokens that it had when it came here. */
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

  /** All numbers; `nowSeconds`: the time since 1970. */
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
