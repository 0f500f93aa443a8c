/** @file How a caller follows a run, stops it, and shares an open model with it. */
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
  /** Called with every event. If it is async, the run awaits it only at the end; an error that it throws or rejects with ends the run. */
  readonly onEvent?: (event: TrainEvent) => void;
  /** Stops after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Whether the folder still belongs to this run; if not, the run stops after the current step and writes nothing more. */
  readonly mayWrite?: () => boolean;
  /** Environment variables that say where models and data are stored; default: those of the process. */
  readonly env?: Environment;
  /** Keys of the settings that the user has set; default: the keys of the input. */
  readonly given?: ReadonlySet<string>;
  /** Keys of the settings that the user cannot change: advice never names them. */
  readonly fixed?: ReadonlySet<string>;
  /** What `method` may name, for a method of your own; default: those of the list. */
  readonly methods?: readonly Method[];
  /** What `objective` may name, for an objective of your own; default: those of the list. */
  readonly objectives?: readonly Objective[];
  /** An open model that the run shares with other users; by default the run opens its own. */
  readonly shared?: SharedModel;
  /** Whether checkpoints name base and data by content, not by path, so that the run can resume elsewhere. */
  readonly namesByContent?: boolean;
  /** Called after each checkpoint is written; older ones may have been deleted. */
  readonly onCheckpoint?: () => void;
  /** The adapter that replaces the run's own if it starts or resumes at this step. */
  readonly goOnFrom?: { readonly step: number; /** Its folder. */ readonly adapter: string };
  /** Makes the writer of samples, if the settings name prompts. */
  readonly makeSampleWriter?: MakeSampleWriter;
}

/** An open model. Its arithmetic and storage of weights are used, not those of the settings. */
export interface SharedModel {
  readonly session: Session;
  /** The model's tokenizer, which takes long to build again. */
  readonly tokenizer?: Tokenizer;
  readonly betweenBlocks: BetweenBlocks;
  /** Called before files are written: other work may run until the next block. */
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
