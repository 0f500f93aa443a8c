/** @file The grammars of one model, made once for each schema; the most recently used are kept. */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import type { Place, RuleBook } from "./rules/automaton.ts";
import { schemaRule } from "./schema/schema-rules.ts";
import { TokenGrammar } from "./token-grammar.ts";
import { Vocabulary } from "./vocabulary.ts";

/** Most grammars kept. */
const MAX_GRAMMARS = 32;

export class Grammars {
  readonly #files: TokenizerFiles;
  readonly #known = new Map<string, TokenGrammar>();
  #vocabulary: Promise<Vocabulary> | null = null;

  constructor(files: TokenizerFiles) {
    this.#files = files;
  }

  /** Reads the vocabulary at first use, in slices. @throws FormatError "format/file" for a tokenizer without bytes */
  vocabulary(): Promise<Vocabulary> {
    this.#vocabulary ??= Vocabulary.create(this.#files, pause);
    return this.#vocabulary;
  }

  /** Makes the grammar of JSON that satisfies a schema. @throws SchemaError; as `vocabulary` */
  ofSchema(schema: unknown): Promise<TokenGrammar> {
    return this.of(schema, (book) => schemaRule(book, schema));
  }

  /** Makes the grammar of other rules; `key`, as JSON, identifies them. @throws as `build`, `vocabulary` */
  async of(key: unknown, build: (book: RuleBook) => Place): Promise<TokenGrammar> {
    const vocabulary = await this.vocabulary();
    const name = JSON.stringify(key, keepInfinite);
    const grammar = this.#known.get(name) ?? new TokenGrammar(vocabulary, build);
    this.#known.delete(name);
    this.#known.set(name, grammar);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_GRAMMARS && oldest !== undefined) this.#known.delete(oldest);
    return grammar;
  }
}

/** JSON.stringify writes null for an infinite number, which no schema may have; the key would equal that of a schema with null. */
function keepInfinite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? { [value]: "no number of JSON" } : value;
}

/** Lets other waiting work in this thread run. */
async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}
