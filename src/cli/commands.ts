/** @file All commands, in the order in which the help shows them. */
import { bench } from "./bench.ts";
import { chat } from "./chat.ts";
import { combine } from "./combine.ts";
import type { Command } from "./command.ts";
import { dataShow } from "./data-show.ts";
import { evaluate } from "./eval.ts";
import { fisher } from "./fisher.ts";
import { generate } from "./generate.ts";
import { merge } from "./merge.ts";
import { pull } from "./pull.ts";
import { quickstart } from "./quickstart.ts";
import { train } from "./train.ts";

export const COMMANDS: readonly Command[] = [
  quickstart,
  pull,
  train,
  evaluate,
  generate,
  chat,
  merge,
  combine,
  fisher,
  dataShow,
  bench,
];
