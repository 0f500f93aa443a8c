/**
 * @file Policies by which a training and texts share one machine: who goes next when both want to, and what a step of texts runs.
 * They decide on numbers alone; clocks and measured times come from outside.
 */
import type { TextNeeds } from "./service-targets.ts";

/** One block of a training, or one step of all texts. */
export type TurnKind = "block" | "step";

/** What a policy decides from. Times are in milliseconds. */
export interface Situation {
  /** The turn that ended last and how long it took; null: there was none. */
  readonly last: { readonly kind: TurnKind; readonly tookMs: number } | null;
  /** Longest recent time of a block of a training, as measured. */
  readonly blockMs: number;
  readonly texts: TextNeeds;
}

/** What a step of texts runs. */
export interface StepShape {
  /** Whether the texts that are being written get their next token. */
  readonly decodes: boolean;
  /** Most ids of prompts. */
  readonly prefillTokens: number;
}

export interface Decider {
  /** Decides who goes next when both want to. */
  next(situation: Situation): TurnKind;
  /** What a step runs while a training waits; all that can run unless given. */
  shape?(situation: Situation, prefillTokens: number): StepShape;
}

/** How training and texts share the machine. */
export interface TurnPolicy {
  readonly name: string;
  decider(): Decider;
}

/** Most steps of texts in a row, as in Loquetier's scheduler for changing loads. */
const MOST = 5;
/** Least share of the time that a training gets, however late texts are, while both want to run. */
const LEAST_SHARE = 0.1;
/** Running fewer ids of a prompt at a time would take nearly as long. */
const LEAST_PREFILL_TOKENS = 64;

/** Runs this many steps before each block of a training; a number below 1 means one step for several blocks. */
function counted(stepsPerBlock: (texts: TextNeeds) => number): Decider {
  let owed = 0;
  return {
    next: ({ last, texts }) => {
      // Whole steps that texts did not use after the last block are dropped.
      if (last?.kind === "block") owed = (owed < 1 ? owed : 0) + stepsPerBlock(texts);
      if (owed < 1) return "block";
      owed--;
      return "step";
    },
  };
}

/** Runs prompts at once, and next tokens as late as their targets allow, so that more texts share one pass over the weights. */
function bySlack(): Decider {
  /** Milliseconds by which a training is behind its least share. */
  let owedMs = 0;
  const isDue = ({ texts, blockMs }: Situation): boolean => texts.decodeSlackMs < blockMs;
  return {
    next: (situation) => {
      const { last, blockMs, texts } = situation;
      if (last?.kind === "step") owedMs += (last.tookMs * LEAST_SHARE) / (1 - LEAST_SHARE);
      else owedMs = Math.max(0, owedMs - (last?.tookMs ?? 0));
      // Only one block after each step: a token that is due waits for one block at most, however much is owed.
      if (owedMs > blockMs && last?.kind === "step") return "block";
      return texts.hasPrompts || isDue(situation) ? "step" : "block";
    },
    shape: (situation, prefillTokens) => {
      const { decodeSlackMs, promptSlackMs, promptTokenMs, hasPrompts } = situation.texts;
      // Unless its own text is late, a prompt runs only as many ids as make no other text late.
      const fitting = promptSlackMs < 0 ? Infinity : Math.floor(decodeSlackMs / promptTokenMs);
      return {
        decodes: !hasPrompts || isDue(situation),
        prefillTokens: Math.min(prefillTokens, Math.max(LEAST_PREFILL_TOKENS, fitting)),
      };
    },
  };
}

export const TURN_POLICIES = [
  // Prompts run at once, texts continue when their next token would otherwise be late, and a training gets the rest.
  {
    name: "slack",
    decider: bySlack,
  },
  // The more texts there are, the more of their steps run before each block of a training: 1 to 5.
  {
    name: "adaptive",
    decider: () =>
      counted(({ numRunning, numWaiting, maxRunning }) => {
        const active = Math.min(maxRunning, numRunning + numWaiting);
        return Math.max(1, Math.floor((MOST * active - 1) / maxRunning) + 1);
      }),
  },
  // One step of texts for every four blocks of a training.
  {
    name: "train-first",
    decider: () => counted(() => 0.25),
  },
  // A training runs when no text waits for its next token, and at the latest after 50 steps.
  {
    name: "serve-first",
    decider: () => counted(() => 50),
  },
] as const satisfies readonly TurnPolicy[];

export type TurnPolicyName = (typeof TURN_POLICIES)[number]["name"];

export const DEFAULT_POLICY: TurnPolicyName = "slack";

/** Finds a policy by its name. */
export function findPolicy(name: TurnPolicyName): TurnPolicy {
  return TURN_POLICIES.find((policy) => policy.name === name) as TurnPolicy;
}
