/**
 * @file Whether a tokenizer puts a space before a text, where tokenizer_config.json says so (`add_prefix_space`): transformers
 * makes the steps of some classes anew, by this setting and not by tokenizer.json.
 */
import type { TokenizerFiles } from "../../../format/checkpoint/checkpoint.ts";
import { isRecord } from "../../rows/row-error.ts";

type Step = Readonly<Record<string, unknown>>;

/** Classes of byte-level BPE: a text begins with a space where the setting is true, and only there. */
const BYTE_LEVEL = ["GPT2Tokenizer", "RobertaTokenizer", "GPTNeoXTokenizer"];
/** Their steps are several, of which the last is of bytes. */
const IN_SEQUENCE = ["Qwen2Tokenizer"];
/** Classes of SentencePiece: a text begins with one unless the setting is false. */
const SENTENCE_PIECE = ["LlamaTokenizer"];
const METASPACE = "▁";

/** The tokenizer with the steps that its configuration asks for; the same object where they are its own. */
export function withConfiguredPrefix(files: TokenizerFiles): TokenizerFiles {
  const { tokenizer, config } = files;
  const { add_prefix_space: setting, tokenizer_class: given } = config;
  const { normalizer, pre_tokenizer: preTokenizer, decoder } = tokenizer;
  const name = typeof given === "string" ? given.replace(/Fast$/, "") : "";
  const withSteps = (steps: object): TokenizerFiles => ({ ...files, tokenizer: { ...tokenizer, ...steps } });
  // Without a class it is that of the model; a setting is one of these then.
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

/** A step, or those of a sequence, each changed or left out. */
function changed(step: unknown, key: string, change: (step: Step) => Step | null): Step | null {
  if (!isRecord(step)) return null;
  const { type, [key]: list } = step;
  if (type !== "Sequence" || !Array.isArray(list)) return change(step);
  return { ...step, [key]: list.flatMap((each: Step) => change(each) ?? []) };
}

/** A step that neither puts the space before a text nor takes it away. */
function withoutPrefix(step: Step): Step | null {
  const { type, prepend, start, content } = step;
  if (type === "Prepend" && prepend === METASPACE) return null;
  if (type === "Strip" && start === 1 && content === " ") return null;
  return type === "Metaspace" ? { ...step, prepend_scheme: "never", add_prefix_space: false } : step;
}
