/**
 * @file Contract of a command: its flags are the keys of one zod schema, its output goes through CommandIO.
 *
 * Commands are listed in commands.ts. To add one: its file, which exports it as `command`, and one line there.
 */
import type colors from "picocolors";
import type { z } from "zod";

import type { Environment } from "../environment.ts";
import type { ValueForm } from "../messages/expected.ts";
import type { Problem } from "../messages/problems.ts";
import type { Kind } from "../train/settings/own-options.ts";
import type { ProgressFactory } from "./terminal/progress.ts";

/** A command's access to its environment. */
export interface CommandIO {
  /** Writes a line for people to standard output, with control characters escaped; dropped in --json mode. */
  stdout(text: string): void;
  /** Writes text of a model to standard output, unchanged unless that is a terminal; dropped in --json mode. */
  text(text: string): void;
  /**
   * Declares that the command exists for its standard output: when the reader closes it, the program ends with status 0.
   * Without this call the work continues, since it leaves files behind.
   */
  endWhenUnread(): void;
  /**
   * Waits until standard output has accepted what was written to it.
   * @throws FailedError "failed/write" when its reader has closed it
   */
  written(): Promise<void>;
  /** Writes a line to standard error, in every mode. */
  stderr(text: string): void;
  /** Writes one JSON object as a line to standard output; dropped without --json. */
  emit(event: { readonly event: string; readonly [key: string]: unknown }): void;
  /** Whether --json was given. */
  readonly json: boolean;
  /** Whether standard error is a terminal that somebody watches. */
  readonly interactive: boolean;
  /** Line width of text for people, in characters. */
  readonly width: number;
  readonly color: typeof colors;
  readonly progress: ProgressFactory;
  /** Aborts at the first signal that asks the program to end, with the reason `StoppedBySignal`. */
  readonly signal: AbortSignal;
  readonly env: Environment;
}

/** An entry in the list of commands: enough to find a command and to describe it. */
export interface ListedCommand {
  /** One word, or two for a command of a group ("data show"). */
  readonly name: string;
  /** One sentence, without a period. */
  readonly summary: string;
  load(): Promise<Command>;
}

/** A flag that selects one of several kinds, each with options of its own: `--method`. */
export interface Chooser {
  readonly key: string;
  readonly kinds: readonly Kind[];
}

/** A command as its file defines it. */
export interface CommandBody<S extends z.ZodObject = z.ZodObject> {
  /** A call that can be pasted into a shell. */
  readonly example: string;
  /** Keys of `options` that positional arguments fill, in this order; a last key of an array type takes all that remain. */
  readonly positionals: readonly string[];
  /** The first positional takes all words unchanged, flags too: the command passes them on. */
  readonly takesAllWords?: true;
  /** A strict object: key = flag, `.describe()` = help, `.default()` = default. */
  readonly options: S;
  /** Title → keys of `options` that the help shows under it; keys without a title come last. */
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  /** Flags for which the help shows only the options of the selected kind. */
  readonly choosers?: readonly Chooser[];
  /** Finds all problems of values; by default those that `options` finds. */
  findProblems?(values: Readonly<Record<string, unknown>>, form: ValueForm): readonly Problem[];
  /** Runs the command; may return an exit status other than 0. `given`: keys of the options that were given, not defaults. */
  run(options: z.output<S>, io: CommandIO, given: ReadonlySet<string>): Promise<number | void>;
}

/** One command of the program, loaded. */
export type Command = Pick<ListedCommand, "name" | "summary"> & CommandBody;

/** Checks a command's types and hides the type of its schema, so that commands with different flags fit in one list. */
export function defineCommand<S extends z.ZodObject>(command: CommandBody<S>): CommandBody {
  return command;
}
