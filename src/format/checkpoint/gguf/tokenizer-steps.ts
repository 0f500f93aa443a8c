/** @file The type of tokenizer.json, and a comparison of steps of tokenizers. */
import type { JsonObject } from "../../files/json-file.ts";

/** The parts of tokenizer.json that settings of a GGUF file express. */
export interface TokenizerJson {
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special?: boolean;
    readonly single_word?: boolean;
    readonly lstrip?: boolean;
    readonly rstrip?: boolean;
  }[];
  readonly normalizer?: WrittenStep | null;
  readonly pre_tokenizer?: WrittenStep | null;
  readonly post_processor?: WrittenStep | null;
  readonly model: {
    readonly type?: string;
    readonly vocab?: Readonly<Record<string, number>>;
    readonly merges?: readonly (string | readonly string[])[];
    readonly ignore_merges?: boolean;
    readonly unk_token?: string | null;
    readonly byte_fallback?: boolean;
    readonly continuing_subword_prefix?: string | null;
    readonly end_of_word_suffix?: string | null;
  };
}

/** A step of a tokenizer, or a sequence of steps. */
export interface WrittenStep extends JsonObject {
  readonly type: string;
}

const LISTS = ["pretokenizers", "normalizers", "processors"];

/** The steps of a sequence, or the one step. */
export function stepsOf(step: WrittenStep | null | undefined): readonly WrittenStep[] {
  if (!step) return [];
  if (step.type !== "Sequence") return [step];
  return LISTS.flatMap((key) => (step[key] as readonly WrittenStep[] | undefined) ?? []).flatMap(stepsOf);
}

/** Writes a step with defaults, without settings that do not affect ids, with sorted keys. */
function canonical(step: JsonObject): string {
  const whole = step["type"] === "ByteLevel" ? { use_regex: true, ...step } : step;
  const entries = Object.entries(whole).filter(([key]) => key !== "trim_offsets");
  return JSON.stringify(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Whether two lists of steps do the same to every text. */
export function isSame(a: readonly JsonObject[], b: readonly JsonObject[]): boolean {
  return a.length === b.length && a.every((step, i) => canonical(step) === canonical(b[i]!));
}
