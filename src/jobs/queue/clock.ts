/** @file The clock of queues and workers, a parameter so that a simulation can replace it. */

export interface Clock {
  /** Never goes back; its zero is arbitrary. */
  nowMs(): number;
  /** Waits; ends early, without an error, when the signal aborts. */
  sleep(timeMs: number, signal?: AbortSignal): Promise<void>;
}
