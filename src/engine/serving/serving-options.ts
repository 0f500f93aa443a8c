/** @file Options of the engine: how many texts it writes at once and within which limits. Also its counts. */
import type { ServiceTargets } from "../scheduling/service-targets.ts";
import type { TurnPolicy } from "../scheduling/turn-policies.ts";

export interface ServingOptions {
  /** Most bytes for keys and values; `usualCacheBytes` unless given. */
  readonly cacheBytes?: number | undefined;
  /**
   * Most bytes kept of ended texts, for others with the same beginning; more only if active texts took more. No limit but that of
   * `cacheBytes` unless given.
   */
  readonly keptBytes?: number;
  /** Most texts that run at a time. */
  readonly maxRunning?: number;
  /** Most ids of prompts in one step. */
  readonly prefillTokens?: number;
  /** How trainings on the same base share the machine with texts; the policy "slack" unless given. */
  readonly policy?: TurnPolicy | undefined;
  /** Times within which texts should be written; `DEFAULT_TARGETS` unless given. */
  readonly targets?: ServiceTargets | undefined;
  /** Returns the current time in milliseconds; `performance.now` unless given. */
  readonly now?: () => number;
}

/** Counts since the engine was made, and its current state. */
export interface ServingStats {
  readonly numRunning: number;
  readonly numWaiting: number;
  /** Most texts that run at a time, each of which may have its own adapter. */
  readonly maxRunning: number;
  /** Names of the adapters of running and of waiting texts, one for each text with a named adapter. */
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
