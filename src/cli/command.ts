/**
 * @file Contract of a command: its flags are the keys of one zod schema, its output goes through CommandIO.
 *
 * The list is commands.ts. A new command is its file, which exports it as `command`, and one line there.
 */
import type colors from "picocolors";
import type { z } from "zod";

import type { Environment } from "../environment.ts";
import type { ValueForm } from "../messages/expected.ts";
import type { Problem } from "../messages/problems.ts";
import type { Kind } from "../train/settings/own-options.ts";
import type { ProgressFactory } from "./terminal/progress.ts";

/** What a command may touch of the outside world. */
export interface CommandIO {
  /** Writes a line for people to standard output, with what a terminal would act on escaped; dropped in --json mode. */
  stdout(text: string): void;
  /** Writes text of a model to standard output, as it is where that is no terminal; dropped in --json mode. */
  text(text: string): void;
  /**
   * Says that standard output is what the command is for: a reader that closes it has seen enough, and ends the program
   * with status 0. Without it the work goes on, as it leaves files behind.
   */
  endWhenUnread(): void;
  /** Waits until standard output has taken what was written to it. @throws FailedError "failed/write" where nobody reads it any more */
  written(): Promise<void>;
  /** Writes a line to standard error, in every mode. */
  stderr(text: string): void;
  /** Writes one JSON object as a line to standard output; dropped without --json. */
  emit(event: { readonly event: string; readonly [key: string]: unknown }): void;
  /** Whether --json was given. */
  readonly json: boolean;
  /** Whether standard error is a terminal that somebody watches. */
  readonly interactive: boolean;
  /** Characters of a line of text for people. */
  readonly width: number;
  readonly color: typeof colors;
  readonly progress: ProgressFactory;
  /** Aborts at the first signal that asks the program to end, with `StoppedBySignal`. */
  readonly signal: AbortSignal;
  readonly env: Environment;
}

/** A command as the list has it: enough to find it and to say what it does. */
export interface ListedCommand {
  /** One word, or two for a command of a group ("data show"). */
  readonly name: string;
  /** One sentence, without a period. */
  readonly summary: string;
  load(): Promise<Command>;
}

/** A flag that chooses one of a kind, which has options of its own: `--method`. */
export interface Chooser {
  readonly key: string;
  readonly kinds: readonly Kind[];
}

/** What a command's file says of it. */
export interface CommandBody<S extends z.ZodObject = z.ZodObject> {
  /** A call that can be pasted into a shell. */
  readonly example: string;
  /** Keys of `options` that plain arguments fill, in this order; a last key of an array type takes all the rest. */
  readonly positionals: readonly string[];
  /** The first positional takes all words as they are, flags too: the command hands them on. */
  readonly takesAllWords?: true;
  /** A strict object: key = flag, `.describe()` = help, `.default()` = default. */
  readonly options: S;
  /** Title → keys of `options` that the help shows under it; those under none come last. */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  /** Flags of which the help shows only the options of what is chosen. */
  readonly choosers?: readonly Chooser[];
  /** Finds all that is wrong with values; by default what `options` finds. */
  findProblems?(values: Readonly<Record<string, unknown>>, form: ValueForm): readonly Problem[];
  /** Runs; returns an exit status other than 0 if need be. `given`: keys of the options that are no defaults. */
  run(options: z.output<S>, io: CommandIO, given: ReadonlySet<string>): Promise<number | void>;
}

/** One command of the program, loaded. */
export type Command = Pick<ListedCommand, "name" | "summary"> & CommandBody;

/** Checks a command's types and forgets the schema's, so that commands of different flags fit in one list. */
export function defineCommand<S extends z.ZodObject>(command: CommandBody<S>): CommandBody {
  return command;
}
