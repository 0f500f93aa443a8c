/** @file How a caller follows a run, stops it, and lends it what is open already. */
import { z } from "zod";
import type { Tokenizer } from "../data/tokenizer/tokenizer.ts";
import type { Environment } from "../environment.ts";
import {
  A_FUNCTION,
  A_NAME,
  A_SIGNAL,
  AN_ENVIRONMENT,
  argument,
  objectWith,
  lazily,
} from "../messages/arguments.ts";
import { METHOD_LIST } from "../peft/define-method.ts";
import type { Method } from "../peft/method.ts";
import type { BetweenBlocks } from "../run/blocks/forward-blocks.ts";
import type { Session } from "../run/session.ts";
import { type Objective, OBJECTIVE_LIST } from "./objective.ts";
import type { TrainEvent } from "./events.ts";
import type { MakeSampleWriter } from "./samples.ts";

/** How a caller follows and stops a run. */
export interface TrainHooks {
  /** Is told of all that happens. Nothing waits for it until the end, where it is async; what it throws or rejects with ends the run. */
  readonly onEvent?: (event: TrainEvent) => void;
  /** Stops after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Whether the folder is still this run's; when not, it stops after the current step and writes nothing more. */
  readonly mayWrite?: () => boolean;
  /** Environment that says where models and data are kept; the process's own by default. */
  readonly env?: Environment;
  /** Keys of the settings that are no defaults: those of the input unless given. */
  readonly given?: ReadonlySet<string>;
  /** Keys of the settings that are somebody else's to choose: no advice is to change them. */
  readonly fixed?: ReadonlySet<string>;
  /** What `method` may name, those of the list unless given: a method of one's own goes in here. */
  readonly methods?: readonly Method[];
  /** What `objective` may name, those of the list unless given: an objective of one's own goes in here. */
  readonly objectives?: readonly Objective[];
  /** A model that is open already, to train on beside whoever else uses it; opened for the run alone unless given. */
  readonly shared?: SharedModel;
  /** Whether checkpoints name base and data by what they hold, not by their paths, so that the run goes on elsewhere. */
  readonly namesByContent?: boolean;
  /** Is told of each checkpoint that is written; older ones may be gone. */
  readonly onCheckpoint?: () => void;
  /** The adapter that takes the place of the run's own when it begins, or goes on, at this step. */
  readonly goOnFrom?: { readonly step: number; /** Its folder. */ readonly adapter: string };
  /** Makes what writes samples, where the settings name prompts. */
  readonly makeSampleWriter?: MakeSampleWriter;
}

/** An open model. Its arithmetic and the way in which it holds weights count, not those of the settings. */
export interface SharedModel {
  readonly session: Session;
  /** The model's own, which takes long to make anew. */
  readonly tokenizer?: Tokenizer;
  readonly betweenBlocks: BetweenBlocks;
  /** Is called before files are written: until the next block others may run. */
  readonly rest?: () => void;
}

const A_SET_OF_KEYS = argument<ReadonlySet<string>>("a Set of keys", (value) => value instanceof Set);

/** What callers give as hooks. */
export const HOOKS = lazily(() =>
  z.strictObject({
    hooks: z.strictObject({
      onEvent: A_FUNCTION.optional(),
      signal: A_SIGNAL.optional(),
      mayWrite: A_FUNCTION.optional(),
      env: AN_ENVIRONMENT.optional(),
      given: A_SET_OF_KEYS.optional(),
      fixed: A_SET_OF_KEYS.optional(),
      methods: METHOD_LIST.optional(),
      objectives: OBJECTIVE_LIST.optional(),
      shared: objectWith<SharedModel>(
        "an open model: its session and betweenBlocks",
        "session",
        "betweenBlocks",
      ).optional(),
      namesByContent: z.boolean().optional(),
      onCheckpoint: A_FUNCTION.optional(),
      goOnFrom: z.strictObject({ step: z.int().min(0), adapter: A_NAME }).optional(),
      makeSampleWriter: A_FUNCTION.optional(),
    }),
  }),
);
