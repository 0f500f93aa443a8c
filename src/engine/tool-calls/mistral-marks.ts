/** @file What the forms of Mistral's models have in common: what stands behind `[TOOL_CALLS]`, and short ids. */
import type { ToolFormat } from "./tool-format.ts";

export const MARK = "[TOOL_CALLS]";
/** What newer models put between a name and its arguments. */
export const ARGS = "[ARGS]";
/** Its templates take no ids of another length. */
const ID_LENGTH = 9;

/** What all forms have in common whose calls stand behind the mark. */
export const BEHIND_MARK = {
  marks: [MARK],
  isWhole: false,
  idOf: (unique) =>
    unique
      .replace(/[^A-Za-z0-9]/g, "")
      .slice(-ID_LENGTH)
      .padStart(ID_LENGTH, "0"),
  begins: () => [MARK],
} satisfies Partial<ToolFormat>;
