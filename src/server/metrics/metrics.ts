/** @file The metrics of a server in the text format of Prometheus. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ServingStats } from "../../engine/serving/serving-options.ts";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import { SECONDS, TOKEN_SECONDS } from "./metric-buckets.ts";
import { VllmMetrics } from "./vllm-metrics.ts";

/** Adapters that have labels of their own; the others share one. */
const MAX_LABELS = 100;
const OTHERS = "other";
/** How a text ended that is no one's to read. */
const FAILED = "error";

export class ServerMetrics {
  readonly #registry = new Registry();
  readonly #labels = new Set<string>();
  readonly #gauges: ReadonlyMap<keyof ServingStats, Gauge>;
  /** Counters of what the engine itself counts. */
  readonly #counters: ReadonlyMap<keyof ServingStats, Counter>;
  readonly #requests: Counter<"adapter" | "finished_reason">;
  readonly #tokens: Counter<"adapter" | "kind">;
  readonly #times: Readonly<Record<"queue" | "firstToken" | "perToken" | "total", Histogram>>;

  readonly #vllm: VllmMetrics;

  /** `modelName`: what clients call the base. */
  constructor(modelName: string) {
    this.#vllm = new VllmMetrics(modelName);
    const registers = [this.#registry];
    const gauge = (name: string, help: string): Gauge =>
      new Gauge({ name: `graft_${name}`, help, registers });
    this.#gauges = new Map([
      ["numRunning", gauge("requests_running", "Texts that are being written")],
      ["numWaiting", gauge("requests_waiting", "Texts that wait for memory or for a place")],
      ["numPages", gauge("cache_pages", "Pages of keys and values that there are")],
      ["numPagesHeld", gauge("cache_pages_held", "Pages that texts hold")],
    ]);
    const counter = (name: string, help: string): Counter =>
      new Counter({ name: `graft_${name}_total`, help, registers });
    this.#counters = new Map([
      ["numPreemptions", counter("preemptions", "Times that a text lost its pages and started again")],
      ["numPromptTokens", counter("prompt_tokens", "Tokens of prompts that have begun")],
      [
        "numCachedTokens",
        counter("cached_prompt_tokens", "Tokens of prompts that did not run: they were cached"),
      ],
      ["numNewTokens", counter("new_tokens", "New tokens")],
      ["numSteps", counter("steps", "Steps of the engine")],
    ]);
    this.#requests = new Counter({
      name: "graft_requests_total",
      help: "Texts that have ended",
      labelNames: ["adapter", "finished_reason"],
      registers,
    });
    this.#tokens = new Counter({
      name: "graft_tokens_total",
      help: "Tokens of texts that have ended",
      labelNames: ["adapter", "kind"],
      registers,
    });
    const histogram = (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ name: `graft_${name}_seconds`, help, buckets, registers });
    this.#times = {
      queue: histogram("request_queue_time", "From the request to its first step", SECONDS),
      firstToken: histogram("time_to_first_token", "From the request to its first token", SECONDS),
      perToken: histogram("inter_token_latency", "Between two tokens, on average over a text", TOKEN_SECONDS),
      total: histogram("e2e_request_latency", "From the request to its end", SECONDS),
    };
  }

  get contentType(): string {
    return this.#registry.contentType;
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
    this.#times.queue.observe(end.queueMs / 1000);
    this.#times.total.observe(end.totalMs / 1000);
    if (end.numNewTokens > 0) this.#times.firstToken.observe(end.firstTokenMs / 1000);
    if (end.numNewTokens > 1) {
      this.#times.perToken.observe((end.totalMs - end.firstTokenMs) / 1000 / (end.numNewTokens - 1));
    }
  }

  /** All numbers as text. */
  async text(stats: ServingStats): Promise<string> {
    for (const [key, gauge] of this.#gauges) gauge.set(stats[key]);
    for (const [key, counter] of this.#counters) {
      counter.reset();
      counter.inc(stats[key]);
    }
    return `${await this.#registry.metrics()}\n${await this.#vllm.text(stats)}`;
  }

  #label(adapter: string): string {
    if (this.#labels.size < MAX_LABELS) this.#labels.add(adapter);
    return this.#labels.has(adapter) ? adapter : OTHERS;
  }
}
