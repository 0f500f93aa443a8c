/**
 * @file Who runs on the one machine: steps of texts, or blocks of a training, in turn.
 *
 * A training runs one block and then lets as many steps of texts go first as the policy says, if any wait; a step never
 * waits for more than one block. While nobody trains, steps run as they come.
 */

/** What a policy decides by. */
export interface Load {
  /** Texts that are being written, and that wait. */
  readonly numRunning: number;
  readonly numWaiting: number;
  readonly maxRunning: number;
}

/** How training and texts share the machine. */
export interface TurnPolicy {
  readonly name: string;
  /** One sentence, without a period. */
  readonly summary: string;
  /** Steps of texts that go before the next block of a training; between 0 and 1: one before every so many blocks. */
  stepsPerBlock(load: Load): number;
}

/** Largest number of steps of texts in a row, of Loquetier's scheduler for changing loads. */
const MOST = 5;

export const TURN_POLICIES = [
  {
    name: "adaptive",
    summary: "The more texts there are, the more of their steps go before each block of a training: 1 to 5",
    stepsPerBlock: ({ numRunning, numWaiting, maxRunning }) => {
      const active = Math.min(maxRunning, numRunning + numWaiting);
      return Math.max(1, Math.floor((MOST * active - 1) / maxRunning) + 1);
    },
  },
  {
    name: "train-first",
    summary: "One step of texts for every four blocks of a training",
    stepsPerBlock: () => 0.25,
  },
  {
    name: "serve-first",
    summary: "A training goes on when no text waits for its next token, and at the latest after 50 steps",
    stepsPerBlock: () => 50,
  },
] as const satisfies readonly TurnPolicy[];

export type TurnPolicyName = (typeof TURN_POLICIES)[number]["name"];

export class Turns {
  readonly #policy: TurnPolicy;
  readonly #load: () => Load;
  /** Those who wait, in order. */
  readonly #queue: (() => void)[] = [];
  #isTaken = false;
  /** Steps of texts that a training owes. */
  #owed = 0;

  constructor(policy: TurnPolicy, load: () => Load) {
    this.#policy = policy;
    this.#load = load;
  }

  /** Waits for the machine, to be given back. */
  async take(): Promise<void> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#isTaken = true;
  }

  giveBack(): void {
    const next = this.#queue.shift();
    // Who is next has it from now on: nobody comes between.
    if (next) next();
    else this.#isTaken = false;
  }

  /** The part of one training: `betweenBlocks` gives others their turns, `end` the machine back for good. */
  training(): { readonly betweenBlocks: () => Promise<void>; readonly end: () => void } {
    let holds = false;
    return {
      betweenBlocks: async () => {
        if (!holds) {
          await this.take();
          holds = true;
          return;
        }
        this.#owed += this.#policy.stepsPerBlock(this.#load());
        for (; this.#owed >= 1 && this.#queue.length > 0; this.#owed--) {
          this.giveBack();
          await this.take();
        }
        // What nobody asked for is not owed later.
        if (this.#owed >= 1) this.#owed = 0;
      },
      end: () => {
        if (holds) this.giveBack();
        holds = false;
      },
    };
  }
}
