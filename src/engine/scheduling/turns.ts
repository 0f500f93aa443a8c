/**
 * @file Decides who runs on the machine: steps of texts and blocks of trainings take turns.
 *
 * Each gives the machine back when it is done, and asks for it again. When both kinds ask, the policy decides; when only one kind
 * asks, it runs. Blocks of several trainings run in the order in which they ask.
 */
import type { Decider, Situation, StepShape, TurnKind, TurnPolicy } from "./turn-policies.ts";
import type { TextNeeds } from "./service-targets.ts";

interface TurnsOptions {
  readonly policy: TurnPolicy;
  readonly needs: () => TextNeeds;
  /** The current time in milliseconds. */
  readonly now: () => number;
}

/** How fast the time of a long block is forgotten: blocks of one training differ, forward and back. */
const FORGETTING = 0.2;

/** The turns of one training. */
export interface TrainingTurns {
  /** Ends the current turn, if any, and waits for the next one. */
  readonly betweenBlocks: () => Promise<void>;
  /** Gives the machine back until the next block. */
  readonly rest: () => void;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #decider: Decider;
  /** Functions that resolve waiting calls of `take`, in order. */
  readonly #waiting: Readonly<Record<TurnKind, (() => void)[]>> = { block: [], step: [] };
  #current: { readonly kind: TurnKind; readonly startedMs: number; isWholePass: boolean } | null = null;
  #last: Situation["last"] = null;
  #blockMs = 0;
  #isDeciding = false;

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#decider = options.policy.decider();
  }

  /** Waits until the caller has the machine; the caller gives it back. */
  take(kind: TurnKind): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting[kind].push(resolve);
      this.#decideSoon();
    });
  }

  /** Ends the current turn, if there is one. */
  giveBack(): void {
    if (!this.#current) return;
    const { kind, startedMs, isWholePass } = this.#current;
    const tookMs = this.#options.now() - startedMs;
    if (kind === "block" && !isWholePass) {
      this.#blockMs = Math.max(tookMs, this.#blockMs + FORGETTING * (tookMs - this.#blockMs));
    }
    this.#last = { kind, tookMs };
    this.#current = null;
    this.#decideSoon();
  }

  /** Marks the current turn as a whole pass, so that its time is not counted as that of a block. */
  takeWholePass(): void {
    if (this.#current) this.#current.isWholePass = true;
  }

  /** What the step that has the machine runs; all that can run unless a training waits. */
  shape(prefillTokens: number): StepShape {
    const all = { decodes: true, prefillTokens };
    if (this.#waiting.block.length === 0) return all;
    return this.#decider.shape?.(this.#situation(), prefillTokens) ?? all;
  }

  /** Makes the turns of one training. */
  training(): TrainingTurns {
    let holds = false;
    return {
      betweenBlocks: async () => {
        if (holds) this.giveBack();
        holds = true;
        await this.take("block");
      },
      rest: () => {
        if (holds) this.giveBack();
        holds = false;
      },
    };
  }

  /** Decides after a microtask, so that the last one to give the machine back can ask again first. */
  #decideSoon(): void {
    if (this.#isDeciding) return;
    this.#isDeciding = true;
    queueMicrotask(() => {
      this.#isDeciding = false;
      this.#decide();
    });
  }

  #decide(): void {
    const { block, step } = this.#waiting;
    if (this.#current || block.length + step.length === 0) return;
    const isContested = block.length > 0 && step.length > 0;
    const only: TurnKind = block.length > 0 ? "block" : "step";
    const kind = isContested ? this.#decider.next(this.#situation()) : only;
    this.#current = { kind, startedMs: this.#options.now(), isWholePass: false };
    this.#waiting[kind].shift()?.();
  }

  #situation(): Situation {
    return { last: this.#last, blockMs: this.#blockMs, texts: this.#options.needs() };
  }
}
