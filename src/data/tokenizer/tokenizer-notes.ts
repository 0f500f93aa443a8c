/** @file Notes for the user when the files of a tokenizer, or a GGUF file and the files beside it, disagree. */
import type { Checkpoint, TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { tokenText } from "../../format/checkpoint/token-text.ts";
import { isRecord } from "../rows/row-error.ts";
import { type Tokenizer, createTokenizer } from "./tokenizer.ts";

/** Letters, numbers, spaces and punctuation that tokenizers split differently. */
const PROBE = "Hello world! It's 12345 o'clock,\n\n  naïve café — 你好 😀\tdef f(x): return x**2\n";

type Files = Pick<Checkpoint, "path" | "tokenizerFiles" | "unusedTokenizerFiles">;

/** Sentences on what disagrees; an empty list if nothing does, or no files are beside a GGUF file. */
export function compareTokenizerFiles({
  path,
  tokenizerFiles: own,
  unusedTokenizerFiles: others,
}: Files): string[] {
  if (!own) return [];
  const notes = noteUnknownTokens(path, own);
  if (!others) return notes;
  const tell = (what: string, file: string, found: string): void =>
    void notes.push(
      `The ${what} of "${path}" and ${file} next to it disagree: ${found}; the one in the GGUF file is used`,
    );
  if (others.tokenizer) {
    const found = unlike(createTokenizer(own), readOther({ ...others, tokenizer: others.tokenizer }));
    if (found !== null) tell("tokenizer", "tokenizer.json", found);
  }
  if (others.chatTemplate !== null && others.chatTemplate.trim() !== own.chatTemplate?.trim()) {
    tell(
      "chat template",
      "the template",
      own.chatTemplate === null ? "the file has none" : "their texts differ",
    );
  }
  return notes;
}

/** Notes bos and eos tokens of the configuration that are not in the vocabulary. */
function noteUnknownTokens(path: string, { tokenizer, config, tokens }: TokenizerFiles): string[] {
  const { model, added_tokens: added } = tokenizer;
  const more = isRecord(config["added_tokens_decoder"]) ? Object.values(config["added_tokens_decoder"]) : [];
  const contents = new Set([...(Array.isArray(added) ? added : []), ...more].map(tokenText));
  const vocab = tokens ?? (isRecord(model) ? model["vocab"] : null);
  const isKnown = (text: string): boolean =>
    contents.has(text) ||
    (Array.isArray(vocab)
      ? vocab.some((token) => token === text || (Array.isArray(token) && token[0] === text))
      : isRecord(vocab) && Object.hasOwn(vocab, text));
  return ["bos_token", "eos_token"].flatMap((key) => {
    const text = tokenText(config[key]);
    if (text === null || text === "" || isKnown(text)) return [];
    return [
      `The tokenizer of "${path}" has no token ${JSON.stringify(text)}, which tokenizer_config.json names as its ${key}: texts are tokenized without it`,
    ];
  });
}

/** Null: its files cannot be read. */
function readOther(files: Parameters<typeof createTokenizer>[0]): Tokenizer | null {
  try {
    return createTokenizer(files);
  } catch {
    return null;
  }
}

function unlike(own: Tokenizer, other: Tokenizer | null): string | null {
  if (other === null) return "the latter cannot be read";
  const plain = { addSpecialTokens: false };
  const [a, b] = [own.encode(PROBE, plain), other.encode(PROBE, plain)];
  const at = Array.from({ length: Math.max(a.length, b.length) }, (_, i) => i).find((i) => a[i] !== b[i]);
  if (at !== undefined)
    return `token ${at + 1} of a text is ${a[at] ?? "missing"} there, ${b[at] ?? "missing"} here`;
  if (own.prefixIds.join() !== other.prefixIds.join())
    return `a text begins with [${own.prefixIds.join(", ")}] there, [${other.prefixIds.join(", ")}] here`;
  if (own.eosId !== other.eosId) return `a text ends with ${own.eosId} there, ${other.eosId} here`;
  return null;
}
