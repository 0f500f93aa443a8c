/** @file Time that goes on when everybody waits, for simulations of many workers in one process. */
import type { Clock } from "../../src/jobs/queue/clock.ts";

/** What happens within it is taken together. */
const TICK_MS = 50;

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

export class VirtualTime {
  nowMs = 0;
  /** A heap, the earliest first. */
  readonly #sleepers: Sleeper[] = [];

  wait(timeMs: number): Promise<void> {
    return new Promise((resolve) => this.at(this.nowMs + Math.max(0, timeMs), resolve));
  }

  at(timeMs: number, wake: () => void): void {
    const heap = this.#sleepers;
    const atMs = Math.ceil(timeMs / TICK_MS) * TICK_MS;
    heap.push({ atMs, wake });
    for (let i = heap.length - 1; i > 0;) {
      const parent = (i - 1) >> 1;
      if (heap[parent]!.atMs <= heap[i]!.atMs) return;
      [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
      i = parent;
    }
  }

  #next(): Sleeper | undefined {
    const heap = this.#sleepers;
    const [first] = heap;
    const last = heap.pop();
    if (heap.length === 0 || !last) return first;
    heap[0] = last;
    for (let i = 0; ;) {
      const left = 2 * i + 1;
      const right = heap[left + 1];
      const least = right && right.atMs < heap[left]!.atMs ? left + 1 : left;
      const child = heap[least];
      if (!child || child.atMs >= heap[i]!.atMs) return first;
      [heap[i], heap[least]] = [child, heap[i]!];
      i = least;
    }
  }

  /** Goes on until something is so, or nobody waits any more. */
  async run(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      const next = this.#next();
      if (!next) return;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.wake();
      // All at the same time, before what they do is done.
      while (this.#sleepers[0]?.atMs === next.atMs) this.#next()?.wake();
      await new Promise(setImmediate);
    }
  }

  /** A clock that began elsewhere and runs at another rate. */
  clock(offsetMs: number, rate: number): Clock {
    return {
      nowMs: () => offsetMs + this.nowMs * rate,
      sleep: (timeMs, signal) => {
        if (signal?.aborted) return Promise.resolve();
        return new Promise((resolve) => {
          this.at(this.nowMs + timeMs / rate, resolve);
          signal?.addEventListener("abort", () => resolve(), { once: true });
        });
      },
    };
  }
}
