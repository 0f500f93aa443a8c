/** @file The clock of queues and workers, as a parameter, so that a simulation can have its own. */

export interface Clock {
  /** Only goes forward, from anywhere. */
  nowMs(): number;
  /** Waits; ends early, without an error, when the signal aborts. */
  sleep(timeMs: number, signal?: AbortSignal): Promise<void>;
}
