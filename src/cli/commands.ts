/** @file All commands, in the order in which the help shows them. */
import type { Command } from "./command.ts";
import { pull } from "./pull.ts";
import { train } from "./train.ts";

export const COMMANDS: readonly Command[] = [pull, train];
