/** @file Finds the ids that a tokenizer puts around a text, and between the texts of a pair, according to its settings. */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import type { OpenTokenizer } from "./library/hub-tokenizer.ts";

/** Ids around a pair; the prefix of the first text is the same as for a text alone. */
export interface PairTemplate {
  readonly middle: readonly number[];
  readonly suffix: readonly number[];
}

interface Affixes {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** A function, since only models that classify pairs need it, and only their files have to be right about it. */
  readonly pair: () => PairTemplate;
}

/** Reads the ids around texts, with or without bos and eos as `add_bos_token` and `add_eos_token` say. */
export function affixesOf(
  hub: OpenTokenizer,
  config: TokenizerFiles["config"],
  { bosId, eosId }: { readonly bosId: number | null; readonly eosId: number | null },
): Affixes {
  const [addBos, addEos] = [config["add_bos_token"], config["add_eos_token"]];
  const plain = readAffixes(hub);
  const suffix = applySetting(plain.suffix, eosId, addEos);
  const isRefused = (id: number): boolean =>
    (id === bosId && addBos === false) || (id === eosId && addEos === false);
  const readPair = (): PairTemplate => {
    const template = readPairTemplate(hub) ?? { middle: [], suffix };
    return {
      middle: template.middle.filter((id) => !isRefused(id)),
      suffix: applySetting(template.suffix, eosId, addEos),
    };
  };
  let known: PairTemplate | null = null;
  return {
    prefix: applySetting(plain.prefix, bosId, addBos),
    suffix,
    pair: () => (known ??= readPair()),
  };
}

/** Finds the ids that the post-processor puts before and after any text. */
function readAffixes(hub: OpenTokenizer): { prefix: number[]; suffix: number[] } {
  const body = hub.encode("a", { add_special_tokens: false }).ids;
  const whole = hub.encode("a").ids;
  for (let start = 0; start + body.length <= whole.length; start++) {
    if (body.every((id, i) => whole[start + i] === id)) {
      return { prefix: whole.slice(0, start), suffix: whole.slice(start + body.length) };
    }
  }
  return { prefix: [], suffix: [] };
}

/** Adds or removes one id of an affix according to the configuration; values other than true and false change nothing. */
function applySetting(affix: readonly number[], id: number | null, setting: unknown): readonly number[] {
  if (setting === false) return affix.filter((other) => other !== id);
  return id !== null && setting === true && !affix.includes(id) ? [id] : affix;
}

/** Finds the template by encoding a pair of equal short texts; null: the tokenizer has none, and concatenates the two texts. */
function readPairTemplate(hub: OpenTokenizer): PairTemplate | null {
  const body = hub.encode("a", { add_special_tokens: false }).ids;
  const whole = hub.encode("a", { text_pair: "a" }).ids;
  const isBodyAt = (start: number): boolean => body.every((id, i) => whole[start + i] === id);
  const starts = [...whole.keys()].filter(isBodyAt);
  const [first, second] = [starts[0], starts.at(-1)];
  if (first === undefined || second === undefined || second < first + body.length) return null;
  return { middle: whole.slice(first + body.length, second), suffix: whole.slice(second + body.length) };
}
