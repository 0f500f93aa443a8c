/** @file The forms in which models write calls, in the order in which they are looked for. */
import { HERMES } from "./hermes.ts";
import { LLAMA3 } from "./llama3.ts";
import { MISTRAL_ARGS } from "./mistral-args.ts";
import { MISTRAL } from "./mistral.ts";
import { QWEN_CODER } from "./qwen-coder.ts";
import type { ToolFormat, ToolModel } from "./tool-format.ts";

export const TOOL_FORMATS: readonly ToolFormat[] = [HERMES, QWEN_CODER, MISTRAL, MISTRAL_ARGS, LLAMA3];

/** The form of a model; the first for one whose template shows none. */
export function findToolFormat(model: ToolModel): ToolFormat {
  return TOOL_FORMATS.find((format) => format.isOf(model)) ?? HERMES;
}
