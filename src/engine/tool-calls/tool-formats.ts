/** @file The list of formats in which models write calls of functions, in the order in which they are tried. */
import { DEEPSEEK, DEEPSEEK_V31 } from "./tool-formats/deepseek.ts";
import { FUNCTION_GEMMA, GEMMA4 } from "./tool-formats/gemma.ts";
import { GLM } from "./tool-formats/glm.ts";
import { HARMONY } from "./tool-formats/harmony.ts";
import { HERMES } from "./tool-formats/hermes.ts";
import { LIQUID } from "./tool-formats/liquid.ts";
import { LLAMA3 } from "./tool-formats/llama3.ts";
import { MISTRAL_ARGS } from "./tool-formats/mistral-args.ts";
import { MISTRAL } from "./tool-formats/mistral.ts";
import { NEMOTRON } from "./tool-formats/nemotron.ts";
import { QWEN_CODER } from "./tool-formats/qwen-coder.ts";
import type { ToolFormat, ToolModel } from "./tool-format.ts";

/** Qwen's coders and GLM stand between Hermes' marks. */
export const TOOL_FORMATS: readonly ToolFormat[] = [
  QWEN_CODER,
  GLM,
  HERMES,
  MISTRAL,
  MISTRAL_ARGS,
  DEEPSEEK,
  DEEPSEEK_V31,
  NEMOTRON,
  FUNCTION_GEMMA,
  GEMMA4,
  HARMONY,
  LIQUID,
  LLAMA3,
];

/** The form of a model; Hermes' for one whose template shows none. */
export function findToolFormat(model: ToolModel): ToolFormat {
  return TOOL_FORMATS.find((format) => format.isOf(model)) ?? HERMES;
}
