/**
 * @file The tokens of a tokenizer as bytes, in a tree that shares beginnings, so that one walk tells which may follow.
 *
 * A special token is written as itself between two bytes that no text has: rules can ask for it, and text is never one.
 */
import { FormatError } from "../../errors.ts";
import { byteReader, utf8 } from "../../data/token-bytes.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { type Automaton, SIGHT, type State } from "./automaton.ts";

/** Stands around special tokens; no byte of UTF-8. */
const SPECIAL_MARK = 0xff;
const MARK = String.fromCharCode(SPECIAL_MARK);

/** The bytes of a special token as rules name it. */
export function specialBytes(token: string): number[] {
  return [SPECIAL_MARK, ...new TextEncoder().encode(token), SPECIAL_MARK];
}

type Fields = Readonly<Record<string, unknown>>;

/** By id: one character for each byte; null: never written. */
type ByteTexts = (string | null)[];

/** Tells the tokens of a tokenizer in bytes. @throws FormatError "format/file" for one whose tokens have no bytes of their own */
function readTokens({ tokenizer, config }: TokenizerFiles): ByteTexts {
  const toBytes = byteReader(tokenizer["decoder"]);
  if (toBytes === null) {
    throw new FormatError(
      "format/file",
      'Cannot hold texts of tokenizer "tokenizer.json" to a grammar: its tokens are put together to words, expected bytes or pieces',
      { hint: "Ask for text without a format." },
    );
  }
  const texts: ByteTexts = [];
  const { vocab } = (tokenizer["model"] ?? {}) as Fields;
  const entries = Array.isArray(vocab)
    ? (vocab as unknown[][]).map(([token], id) => [token, id] as const)
    : Object.entries((vocab ?? {}) as Fields);
  for (const [token, id] of entries) texts[id as number] = toBytes(String(token));
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

export class Vocabulary {
  readonly #texts: ByteTexts;
  /** Nodes of the tree, each before what goes on from it: byte, depth, the first node that does not, and an id or -1. */
  readonly #bytes: Uint8Array;
  readonly #depths: Uint16Array;
  readonly #after: Int32Array;
  readonly #ids: Int32Array;
  /** Further ids of the same bytes. */
  readonly #same = new Map<number, number[]>();

  /** @throws FormatError "format/file" for a tokenizer whose tokens have no bytes of their own */
  constructor(files: TokenizerFiles) {
    this.#texts = readTokens(files);
    const idOf = new Map<string, number>();
    for (const [id, text] of this.#texts.entries()) {
      // An empty token would be written for ever, a longer one would see more than what states are told apart by.
      if (text === undefined || text === null || text === "" || (text.length > SIGHT && text[0] !== MARK))
        continue;
      const first = idOf.get(text);
      if (first === undefined) idOf.set(text, id);
      else this.#same.set(first, [...(this.#same.get(first) ?? []), id]);
    }
    const [bytes, depths, after, ids]: number[][] = [[], [], [], []];
    const open: number[] = [];
    let last = "";
    for (const text of [...idOf.keys()].sort()) {
      let shared = 0;
      while (shared < last.length && last[shared] === text[shared]) shared++;
      for (const node of open.splice(shared)) after![node] = bytes!.length;
      for (let depth = shared; depth < text.length; depth++) {
        open.push(bytes!.length);
        bytes!.push(text.charCodeAt(depth));
        depths!.push(depth + 1);
        ids!.push(depth === text.length - 1 ? idOf.get(text)! : -1);
      }
      last = text;
    }
    for (const node of open) after![node] = bytes!.length;
    this.#bytes = Uint8Array.from(bytes!);
    this.#depths = Uint16Array.from(depths!);
    this.#after = Int32Array.from(after!);
    this.#ids = Int32Array.from(ids!);
  }

  /** Ids from 0 up to below this. */
  get size(): number {
    return this.#texts.length;
  }

  /** The bits of all ids that may follow in a state. */
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

  /** Where a token leads; null: it may not follow. */
  follow(automaton: Automaton, state: State, id: number): State | null {
    const text = this.#texts[id] ?? "";
    let at: State | null = text === "" ? null : state;
    for (let i = 0; i < text.length && at; i++) at = automaton.next(at, text.charCodeAt(i));
    return at;
  }
}
