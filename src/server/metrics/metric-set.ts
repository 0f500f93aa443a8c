/** @file Metrics with a common prefix, each with a function that computes it, in the text format of Prometheus. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ServeEnd } from "../../engine/serving/serve-request.ts";
import type { ServingStats } from "../../engine/serving/serving-options.ts";
import { SECONDS } from "./text-times.ts";

type OfStats = (stats: ServingStats) => number;

export class MetricSet {
  readonly #registry = new Registry();
  readonly #prefix: string;
  readonly #gauges: (readonly [Gauge, OfStats])[] = [];
  readonly #counters: (readonly [Counter, OfStats])[] = [];
  readonly #times: (readonly [Histogram, (end: ServeEnd) => readonly number[]])[] = [];

  /** `labels`: added to all metrics. */
  constructor(prefix: string, labels: Readonly<Record<string, string>> = {}) {
    this.#prefix = prefix;
    this.#registry.setDefaultLabels(labels);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Adds a number that may rise and fall. */
  gauge(name: string, help: string, value: OfStats): void {
    this.#gauges.push([new Gauge(this.#described(name, help)), value]);
  }

  /** Adds a number that the engine counts. */
  counter(name: string, help: string, value: OfStats): void {
    this.#counters.push([new Counter(this.#described(`${name}_total`, help)), value]);
  }

  /** Adds a counter that the caller increments, with labels. */
  labelled<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ ...this.#described(`${name}_total`, help), labelNames: [...labelNames] });
  }

  /** Adds a current number that the caller sets, with labels. */
  labelledGauge<L extends string>(name: string, help: string, labelNames: readonly L[]): Gauge<L> {
    return new Gauge({ ...this.#described(name, help), labelNames: [...labelNames] });
  }

  /** Adds a histogram of a time of each text; null for texts without that time. */
  time(name: string, help: string, timeMs: (end: ServeEnd) => number | null, buckets = SECONDS): void {
    this.times(name, help, (end) => [timeMs(end) ?? []].flat(), buckets);
  }

  /** Adds times of which each text has any number. */
  times(name: string, help: string, timesMs: (end: ServeEnd) => readonly number[], buckets: number[]): void {
    const described = this.#described(`${name}_seconds`, help);
    this.#times.push([new Histogram({ ...described, buckets: [...buckets] }), timesMs]);
  }

  #described(name: string, help: string): { name: string; help: string; registers: [Registry] } {
    return { name: `${this.#prefix}${name}`, help, registers: [this.#registry] };
  }

  /** Records the times of a text that has ended. */
  ended(end: ServeEnd): void {
    for (const [histogram, timesMs] of this.#times) {
      for (const ms of timesMs(end)) histogram.observe(ms / 1000);
    }
  }

  async text(stats: ServingStats): Promise<string> {
    for (const [gauge, value] of this.#gauges) gauge.set(value(stats));
    for (const [counter, value] of this.#counters) {
      counter.reset();
      counter.inc(value(stats));
    }
    return await this.#registry.metrics();
  }
}
