/**
 * @file The tokens of a tokenizer as bytes, in a tree that shares prefixes, so that one walk finds which tokens may follow.
 *
 * A special token is written between two bytes that occur in no text: rules can ask for it, and plain text never matches it.
 */
import { FormatError } from "../../errors.ts";
import { byteReader, utf8 } from "../../data/tokenizer/token-bytes.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { type Automaton, SIGHT, type State } from "./rules/automaton.ts";

/** Encloses special tokens; no byte of UTF-8. */
const SPECIAL_MARK = 0xff;
const MARK = String.fromCharCode(SPECIAL_MARK);

/** The bytes of a special token as rules name it. */
export function specialBytes(token: string): number[] {
  return [SPECIAL_MARK, ...new TextEncoder().encode(token), SPECIAL_MARK];
}

type Fields = Readonly<Record<string, unknown>>;

/** The bytes of each token by its id, one character per byte; null: the token is never written. */
type ByteTexts = (string | null)[];

/** Tokens that are read or sorted before other work may run: a few milliseconds of work. */
const SLICE = 2048;

/**
 * Yields between slices; returns the bytes of all tokens. @throws FormatError "format/file" for a tokenizer whose tokens have no
 * bytes of their own
 */
function* readTokens({ tokenizer, config }: TokenizerFiles): Generator<void, ByteTexts> {
  const toBytes = byteReader(tokenizer["decoder"]);
  if (toBytes === null) {
    throw new FormatError(
      "format/file",
      'Cannot constrain texts of tokenizer "tokenizer.json" to a grammar: its tokens are joined into words, expected bytes or pieces',
      { hint: "Request text without a format." },
    );
  }
  const texts: ByteTexts = [];
  const { vocab } = (tokenizer["model"] ?? {}) as Fields;
  const entries = Array.isArray(vocab)
    ? (vocab as unknown[][]).map(([token], id) => [token, id] as const)
    : Object.entries((vocab ?? {}) as Fields);
  for (const [i, [token, id]] of entries.entries()) {
    if (i % SLICE === 0) yield;
    const bytes = toBytes(String(token));
    // Vocabularies of all bytes have a token for the byte of the marks, which would look like the beginning of a special token.
    texts[id as number] = bytes?.includes(MARK) ? null : bytes;
  }
  const added = [
    ...((tokenizer["added_tokens"] ?? []) as Fields[]),
    ...Object.entries((config["added_tokens_decoder"] ?? {}) as Record<string, Fields>).map(
      ([id, token]): Fields => ({ ...token, id: Number(id) }),
    ),
  ];
  for (const { id, content, special } of added) {
    texts[id as number] =
      special === true ? String.fromCharCode(...specialBytes(String(content))) : utf8(String(content));
  }
  return texts;
}

/** The tree under construction. */
interface Nodes {
  readonly bytes: number[];
  readonly depths: number[];
  readonly after: number[];
  readonly ids: number[];
}

/** Groups the tokens by how they begin and sorts the groups; each group is sorted within a slice. */
function* sortTokens(texts: Iterable<string>): Generator<void, string[]> {
  const groups = new Map<string, string[]>();
  let num = 0;
  for (const text of texts) {
    if (num++ % SLICE === 0) yield;
    const start = text.slice(0, 2);
    const group = groups.get(start);
    if (group) group.push(text);
    else groups.set(start, [text]);
  }
  const sorted: string[] = [];
  for (const start of [...groups.keys()].sort()) {
    const group = groups.get(start)!;
    for (const text of group.sort()) sorted.push(text);
    if (sorted.length % SLICE < group.length) yield;
  }
  return sorted;
}

export class Vocabulary {
  readonly #texts: ByteTexts;
  /** Nodes of the tree, parents before children: byte, depth, index of the first node after the subtree, and an id or -1. */
  readonly #bytes: Uint8Array;
  readonly #depths: Uint16Array;
  readonly #after: Int32Array;
  readonly #ids: Int32Array;
  /** Further ids of tokens with the same bytes. */
  readonly #same: ReadonlyMap<number, readonly number[]>;

  private constructor(texts: ByteTexts, same: ReadonlyMap<number, readonly number[]>, nodes: Nodes) {
    this.#texts = texts;
    this.#same = same;
    this.#bytes = Uint8Array.from(nodes.bytes);
    this.#depths = Uint16Array.from(nodes.depths);
    this.#after = Int32Array.from(nodes.after);
    this.#ids = Int32Array.from(nodes.ids);
  }

  /**
   * Reads the tokens of a tokenizer, a slice at a time. @throws FormatError "format/file" for one whose tokens have no bytes
   * of their own
   */
  static *read(files: TokenizerFiles): Generator<void, Vocabulary> {
    const texts = yield* readTokens(files);
    const idOf = new Map<string, number>();
    const same = new Map<number, number[]>();
    for (const [id, text] of texts.entries()) {
      if (id % SLICE === 0) yield;
      // An empty token could be written for ever; one longer than `SIGHT` could tell states apart that count as equal.
      if (text === undefined || text === null || text === "" || (text.length > SIGHT && text[0] !== MARK))
        continue;
      const first = idOf.get(text);
      if (first === undefined) idOf.set(text, id);
      else same.set(first, [...(same.get(first) ?? []), id]);
    }
    const nodes: Nodes = { bytes: [], depths: [], after: [], ids: [] };
    const { bytes, depths, after, ids } = nodes;
    const open: number[] = [];
    let last = "";
    for (const [i, text] of (yield* sortTokens(idOf.keys())).entries()) {
      if (i % SLICE === 0) yield;
      let shared = 0;
      while (shared < last.length && last[shared] === text[shared]) shared++;
      for (const node of open.splice(shared)) after[node] = bytes.length;
      for (let depth = shared; depth < text.length; depth++) {
        open.push(bytes.length);
        bytes.push(text.charCodeAt(depth));
        depths.push(depth + 1);
        ids.push(depth === text.length - 1 ? idOf.get(text)! : -1);
      }
      last = text;
    }
    for (const node of open) after[node] = bytes.length;
    return new Vocabulary(texts, same, nodes);
  }

  /** Reads a vocabulary; awaits `pause` between slices, so that other work may run. @throws as `read` */
  static async create(files: TokenizerFiles, pause: () => Promise<void>): Promise<Vocabulary> {
    const slices = Vocabulary.read(files);
    for (let slice = slices.next(); ; slice = slices.next()) {
      if (slice.done) return slice.value;
      await pause();
    }
  }

  /** Number of ids: they go from 0 to `size` - 1. */
  get size(): number {
    return this.#texts.length;
  }

  /** A bit mask of the ids that may follow in a state. */
  allowed(automaton: Automaton, state: State): Uint32Array {
    const mask = new Uint32Array(Math.ceil(this.size / 32));
    const allow = (id: number): void => void (mask[id >> 5]! |= 1 << (id & 31));
    const [bytes, depths, after, ids] = [this.#bytes, this.#depths, this.#after, this.#ids];
    const states: State[] = [state];
    for (let node = 0; node < bytes.length;) {
      const depth = depths[node]!;
      const from = states[depth - 1]!;
      const byte = bytes[node]!;
      const known = from.row[byte];
      const to = known === undefined ? automaton.next(from, byte) : known;
      if (to === null) {
        node = after[node]!;
        continue;
      }
      states[depth] = to;
      const id = ids[node]!;
      if (id >= 0) {
        allow(id);
        if (this.#same.size > 0) this.#same.get(id)?.forEach(allow);
      }
      node++;
    }
    return mask;
  }

  /** The bytes of a token, one character each; "": it has none. */
  bytesOf(id: number): string {
    return this.#texts[id] ?? "";
  }

  /** The state after a token; null: it may not follow. */
  follow(automaton: Automaton, state: State, id: number): State | null {
    const text = this.bytesOf(id);
    return text === "" ? null : automaton.follow(state, text);
  }
}
