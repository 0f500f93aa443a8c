/** @file Bounds the steps of a tokenizer's file: its patterns have a time limit, and the growth of a text has a maximum. */
import { showValue } from "../../../messages/expected.ts";
import { isRecord } from "../../rows/row-error.ts";
import { compileSafe } from "../../../untrusted/safe-pattern.ts";
import type { TimeBudget } from "../../../untrusted/time-budget.ts";
import { useOriginal } from "./original-steps.ts";
import type { TokenizerStep } from "./tokenizer-step.ts";

/** Maximum characters that a text may grow to: for each of its characters or decoded tokens, and in addition. */
const [MAX_GROWTH, SPARE_CHARACTERS] = [64, 1 << 16];

/**
 * What escapes of split patterns mean in the original library: JavaScript's `\s` includes U+FEFF but not U+0085, and its `\d`,
 * which only remains in the pattern of Digits, does not match "²", "½" and "٣".
 */
const ESCAPES: Readonly<Record<string, string>> = {
  "\\s": "\\p{White_Space}",
  "\\S": "\\P{White_Space}",
  "\\d": "\\p{N}",
};

function withUnicodeClasses({ source }: RegExp): string {
  return source.replace(/\\./gs, (escape) => ESCAPES[escape] ?? escape);
}

/**
 * Checks the settings of a step: a sequence has a list of steps, and a pattern has one of two forms. The library prints
 * patterns of other forms to the terminal, and continues.
 * @throws Error for another form
 */
export function requireSteps(step: unknown): void {
  if (step === null || step === undefined) return;
  if (!isRecord(step)) throw new Error(`a step is ${showValue(step)}, expected an object with its type`);
  const { type, pattern, normalizers, pretokenizers, decoders } = step;
  const lists = [normalizers, pretokenizers, decoders].filter((parts) => parts !== undefined);
  if (type === "Sequence" && lists.length === 0) throw new Error("a Sequence has no list of steps");
  for (const parts of lists) {
    if (!Array.isArray(parts)) throw new Error(`the steps are ${showValue(parts)}, expected a list`);
    if (parts.includes(null)) throw new Error("a step is null, expected an object with its type");
    parts.forEach(requireSteps);
  }
  if (pattern === undefined && type !== "Split" && type !== "Replace") return;
  const { Regex: regex, String: text } = (pattern ?? {}) as {
    readonly Regex?: unknown;
    readonly String?: unknown;
  };
  if (typeof (regex ?? text) !== "string")
    throw new Error(
      `a pattern is ${JSON.stringify(pattern) ?? "absent"}, expected {"Regex": …} or {"String": …}`,
    );
}

function tooLong(length: number, most: number): Error {
  return new Error(`its replacements make a text of ${length} characters, expected at most ${most}`);
}

/** Compiles the pattern of a step; the error names it as written in the file. @throws Error as `compileSafe` */
function compileStep({ config }: TokenizerStep, source: string, budget: TimeBudget): unknown {
  try {
    return compileSafe(source, "u", budget);
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the pattern ${showValue(config?.pattern)} cannot be searched for: ${found}`, { cause });
  }
}

/** Runs work on so many characters or tokens, within limits of time and of the output. */
type WithinLimits = <T>(length: number, work: () => T) => T;

/**
 * Guards all steps of a tokenizer; the returned function must wrap every use of them.
 * @throws Error for a pattern whose search may not end
 */
export function guardSteps(
  normalizer: TokenizerStep | null,
  preTokenizer: TokenizerStep | null,
  decoder: TokenizerStep | null,
  budget: TimeBudget,
): WithinLimits {
  let most = Infinity;
  const check = (text: string): string => {
    if (text.length > most) throw tooLong(text.length, most);
    return text;
  };
  const visit = (step: TokenizerStep | null, isSplit: boolean): void => {
    if (step === null) return;
    for (const part of [...(step.normalizers ?? []), ...(step.tokenizers ?? []), ...(step.decoders ?? [])])
      visit(part, isSplit);
    useOriginal(step);
    if (!(step.pattern instanceof RegExp)) return;
    const source = isSplit ? withUnicodeClasses(step.pattern) : step.pattern.source;
    step.pattern = compileStep(step, source, budget);
    if (typeof step.config?.content !== "string") return;
    const normalize = step.normalize?.bind(step);
    const preTokenize = step.pre_tokenize_text?.bind(step);
    const decode = step.decode_chain?.bind(step);
    if (normalize) step.normalize = (text) => check(normalize(text));
    if (preTokenize) step.pre_tokenize_text = (text, options) => preTokenize(text, options).map(check);
    if (decode) {
      step.decode_chain = (tokens) => {
        const decoded = decode(tokens);
        const long = decoded.find(({ length }) => length > SPARE_CHARACTERS);
        if (long !== undefined) throw tooLong(long.length, SPARE_CHARACTERS);
        return decoded;
      };
    }
  };
  visit(normalizer, false);
  visit(preTokenizer, true);
  visit(decoder, false);
  return (length, work) => {
    most = MAX_GROWTH * length + SPARE_CHARACTERS;
    return budget.use(length, work);
  };
}
