/** @file The list of log formats. */
import { csv } from "./csv.ts";
import { jsonl } from "./jsonl.ts";
import type { LogFormat } from "./log-format.ts";
import { tensorboard } from "./tensorboard.ts";

export const LOG_FORMATS: readonly LogFormat[] = [jsonl, csv, tensorboard];
