/** @file The grammars of one model. Each schema's grammar is made once and kept as long as few schemas are asked for. */
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import type { Place, RuleBook } from "./rules/automaton.ts";
import { schemaRule } from "./schema/schema-rules.ts";
import { TokenGrammar } from "./token-grammar.ts";
import { Vocabulary } from "./vocabulary.ts";

/** Grammars that are kept, those that were asked for last. */
const MAX_GRAMMARS = 32;

export class Grammars {
  readonly #files: TokenizerFiles;
  readonly #known = new Map<string, TokenGrammar>();
  #vocabulary: Promise<Vocabulary> | null = null;

  constructor(files: TokenizerFiles) {
    this.#files = files;
  }

  /** Reads the vocabulary when it is first needed, in slices. @throws FormatError "format/file" for a tokenizer without bytes */
  vocabulary(): Promise<Vocabulary> {
    this.#vocabulary ??= Vocabulary.create(this.#files, pause);
    return this.#vocabulary;
  }

  /** JSON that satisfies a schema. @throws SchemaError; as `vocabulary` */
  ofSchema(schema: unknown): Promise<TokenGrammar> {
    return this.of(schema, (book) => schemaRule(book, schema));
  }

  /** Texts of other rules; JSON of `key` is all that tells them apart. @throws as `build`, `vocabulary` */
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

/** JSON has null for a number that no schema may have: it would be taken for a schema with null. */
function keepInfinite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? { [value]: "no number of JSON" } : value;
}

/** Lets what else waits in this thread have its turn. */
async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}
