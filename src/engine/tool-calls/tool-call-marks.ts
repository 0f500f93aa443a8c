/** @file What forms have in common that stand between `<tool_call>` and `</tool_call>`. */
import type { ToolFormat } from "./tool-format.ts";

/** What a call begins and ends with. */
export const [OPEN, CLOSE] = ["<tool_call>", "</tool_call>"] as const;

/** Of every form that stands between these marks. */
export const BETWEEN_MARKS = {
  marks: [OPEN],
  tokens: [OPEN, CLOSE],
  isWhole: false,
  hasEnd: false,
  idOf: (unique) => `call_${unique}`,
  begins: () => [OPEN],
} satisfies Partial<ToolFormat>;
