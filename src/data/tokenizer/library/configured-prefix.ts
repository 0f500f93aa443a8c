/**
 * @file Puts a space before texts or not, as set in tokenizer_config.json (`add_prefix_space`): for some classes, transformers
 * rebuilds the steps by this setting instead of tokenizer.json.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { isRecord } from "../../rows/row-error.ts";

type Step = Readonly<Record<string, unknown>>;

/** Byte-level BPE classes: a text begins with a space only if the setting is true. */
const BYTE_LEVEL = ["GPT2Tokenizer", "RobertaTokenizer", "GPTNeoXTokenizer"];
/** Classes with several steps, the last of which is byte-level. */
const IN_SEQUENCE = ["Qwen2Tokenizer"];
/** SentencePiece classes: a text begins with a space unless the setting is false. */
const SENTENCE_PIECE = ["LlamaTokenizer"];
const METASPACE = "▁";

/** Changes the steps of a tokenizer to those of its configuration; returns the same object if they already are. */
export function withConfiguredPrefix(files: TokenizerFiles): TokenizerFiles {
  const { tokenizer, config } = files;
  const { add_prefix_space: setting, tokenizer_class: given } = config;
  const { normalizer, pre_tokenizer: preTokenizer, decoder } = tokenizer;
  const name = typeof given === "string" ? given.replace(/Fast$/, "") : "";
  const withSteps = (steps: object): TokenizerFiles => ({ ...files, tokenizer: { ...tokenizer, ...steps } });
  // Without a class, transformers uses the model's class; a setting then implies one of these.
  const isSet = given === undefined && typeof setting === "boolean";
  const isAlone = isRecord(preTokenizer) && preTokenizer["type"] === "ByteLevel";
  if (isAlone ? BYTE_LEVEL.includes(name) || isSet : IN_SEQUENCE.includes(name)) {
    const prefix = { add_prefix_space: setting === true };
    const withPrefix = (step: Step): Step => (step["type"] === "ByteLevel" ? { ...step, ...prefix } : step);
    return withSteps({ pre_tokenizer: changed(preTokenizer, "pretokenizers", withPrefix) });
  }
  if (!SENTENCE_PIECE.includes(name) || setting !== false) return files;
  return withSteps({
    normalizer: changed(normalizer, "normalizers", withoutPrefix),
    pre_tokenizer: changed(preTokenizer, "pretokenizers", withoutPrefix),
    decoder: changed(decoder, "decoders", withoutPrefix),
  });
}

/** Changes a step, or each step of a sequence; null removes it. */
function changed(step: unknown, key: string, change: (step: Step) => Step | null): Step | null {
  if (!isRecord(step)) return null;
  const { type, [key]: list } = step;
  if (type !== "Sequence" || !Array.isArray(list)) return change(step);
  return { ...step, [key]: list.flatMap((each: Step) => change(each) ?? []) };
}

/** A step that neither adds nor removes the space before a text; null if that is all it does. */
function withoutPrefix(step: Step): Step | null {
  const { type, prepend, start, content } = step;
  if (type === "Prepend" && prepend === METASPACE) return null;
  if (type === "Strip" && start === 1 && content === " ") return null;
  return type === "Metaspace" ? { ...step, prepend_scheme: "never", add_prefix_space: false } : step;
}
