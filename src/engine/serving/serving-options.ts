/**
 * @file Options of the engine: how many texts it writes at once and within which limits. Also the counts of what it has
 * done.
 */
import type { ServiceTargets } from "../scheduling/service-targets.ts";
import type { TurnPolicy } from "../scheduling/turn-policies.ts";

export interface ServingOptions {
  /** Bytes that keys and values may take; `usualCacheBytes` unless given. */
  readonly cacheBytes?: number | undefined;
  /**
   * Bytes that stay of texts that have ended, for others that begin alike, and more only where active texts took more; all that
   * there is room for unless given.
   */
  readonly keptBytes?: number;
  /** Texts that run at a time. */
  readonly maxRunning?: number;
  /** Ids of prompts that run in one step. */
  readonly prefillTokens?: number;
  /** How trainings on the same base share the machine with texts; by slack unless given. */
  readonly policy?: TurnPolicy | undefined;
  /** Within which times texts are to be written; those of a reader unless given. */
  readonly targets?: ServiceTargets | undefined;
  /** What time it is, in milliseconds; `performance.now` unless given. */
  readonly now?: () => number;
}

/** Counts since the engine was made, and what it does now. */
export interface ServingStats {
  readonly numRunning: number;
  readonly numWaiting: number;
  /** Texts that run at a time at most, each of which may have an adapter of its own. */
  readonly maxRunning: number;
  /** Names of the adapters of texts that run, and of those that wait, one for each text that has a named one. */
  readonly runningAdapters: readonly string[];
  readonly waitingAdapters: readonly string[];
  readonly numPages: number;
  readonly numPagesHeld: number;
  readonly numSteps: number;
  readonly numPromptTokens: number;
  readonly numCachedTokens: number;
  readonly numNewTokens: number;
  readonly numPreemptions: number;
}
