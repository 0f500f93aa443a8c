/**
 * @file Replaces steps of the library's tokenizers by the original library's behaviour where the two give different words: what
 * is white space, a letter or punctuation, how text is lower-cased, what happens to the matches that split a text, and which
 * characters represent bytes.
 */
import * as library from "@huggingface/tokenizers";
import type { TokenizerStep } from "./tokenizer-step.ts";

type StepClass = new (...settings: never[]) => TokenizerStep;

/** The library's classes; their declarations do not resolve under NodeNext. */
const CLASSES = library as unknown as Readonly<Record<string, StepClass>>;

/** Chinese characters by BERT's definition: ideographs of some blocks. */
const IDEOGRAPHS =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/** Runs of word characters, by the definition of Rust's regex, or of characters that are neither these nor white space. */
const WORDS_AND_SIGNS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;

const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;

/** Lower-cases letter by letter: JavaScript writes Σ differently at the end of a word. */
const lowerCase = (text: string): string => text.replaceAll("Σ", "σ").toLowerCase();

/** Settings of the steps that are replaced. */
interface StepSettings {
  readonly clean_text?: boolean;
  readonly handle_chinese_chars?: boolean;
  readonly strip_accents?: boolean | null;
  readonly lowercase?: boolean;
  readonly strip_left?: boolean;
  readonly strip_right?: boolean;
  readonly behavior?: string;
  readonly invert?: boolean;
  readonly prepend_scheme?: string;
  readonly replacement?: string;
}

/** A part of a text: a match of a pattern, or the text between two matches. */
interface Piece {
  readonly text: string;
  readonly isMatch: boolean;
}

function piecesOf(text: string, pattern: RegExp, inverts: boolean): Piece[] {
  const pieces: Piece[] = [];
  let before = 0;
  const add = (until: number, isMatch: boolean): void => {
    if (until > before) pieces.push({ text: text.slice(before, until), isMatch: isMatch !== inverts });
    before = until;
  };
  for (const match of text.matchAll(pattern)) {
    add(match.index, false);
    add(match.index + match[0].length, true);
  }
  add(text.length, false);
  return pieces;
}

/** Appends each piece for which `joins` is true to the piece before it. */
function joined(pieces: readonly Piece[], joins: (piece: Piece, before: Piece) => boolean): string[] {
  const words: string[] = [];
  for (const [i, piece] of pieces.entries()) {
    if (i > 0 && joins(piece, pieces[i - 1]!)) words[words.length - 1] += piece.text;
    else words.push(piece.text);
  }
  return words;
}

/** Splits a text by a pattern; each match is a piece of its own unless `behavior` says otherwise. */
function splitText(text: string, pattern: RegExp, { behavior = "", invert = false }: StepSettings): string[] {
  const pieces = piecesOf(text, pattern, invert);
  switch (behavior.toLowerCase()) {
    case "removed":
      return pieces.filter(({ isMatch }) => !isMatch).map((piece) => piece.text);
    case "contiguous":
      return joined(pieces, (piece, before) => piece.isMatch === before.isMatch);
    case "mergedwithprevious":
      return joined(pieces, (piece, before) => piece.isMatch && !before.isMatch);
    case "mergedwithnext":
      return joined(pieces, (piece, before) => before.isMatch && !piece.isMatch);
    default:
      return pieces.map((piece) => piece.text);
  }
}

/** BERT's normalizer, with the library's own cleaning. */
function bertText(step: BertStep, settings: StepSettings): (text: string) => string {
  return (text) => {
    let made = settings.clean_text === true ? step.clean_text(text) : text;
    if (settings.handle_chinese_chars === true) made = made.replace(IDEOGRAPHS, " $& ");
    if (settings.strip_accents ?? settings.lowercase === true) made = step.strip_accents(made);
    return settings.lowercase === true ? lowerCase(made) : made;
  };
}

interface BertStep extends TokenizerStep {
  clean_text(text: string): string;
  strip_accents(text: string): string;
}

/** Turns marks into spaces; a mark in the first token becomes nothing, unless no space is put before a text. */
function withSpaces({
  replacement = "▁",
  prepend_scheme: scheme,
}: StepSettings): (tokens: string[]) => string[] {
  const before = scheme === "never" ? " " : "";
  return (tokens) => tokens.map((token, i) => token.replaceAll(replacement, i === 0 ? before : " "));
}

/** Decodes bytes to text; a token with a character that represents no byte, such as an added token, is kept as text. */
function bytesText(
  { byte_decoder: byteOf = {}, text_decoder: decoder }: TokenizerStep,
  tokens: string[],
): string {
  const bytesOf = (text: string): (number | undefined)[] =>
    Array.from(text, (character) => byteOf[character]);
  let bytes = bytesOf(tokens.join(""));
  if (bytes.includes(undefined)) {
    bytes = tokens.flatMap((token) => {
      const own = bytesOf(token);
      return own.includes(undefined) ? [...new TextEncoder().encode(token)] : own;
    });
  }
  return decoder!.decode(Uint8Array.from(bytes as number[]));
}

/** The classes whose steps are changed, and how. */
const CHANGES: readonly [name: string, change: (step: TokenizerStep, settings: StepSettings) => void][] = [
  ["BertNormalizer", (step, settings) => (step.normalize = bertText(step as BertStep, settings))],
  ["LowercaseNormalizer", (step) => (step.normalize = lowerCase)],
  [
    "StripNormalizer",
    (step, { strip_left: left, strip_right: right }) =>
      (step.normalize = (text) => {
        const begun = left === true ? text.replace(/^\p{White_Space}+/u, "") : text;
        return right === true ? begun.replace(/(?<!\p{White_Space})\p{White_Space}+$/u, "") : begun;
      }),
  ],
  [
    "WhitespacePreTokenizer",
    (step) => (step.pre_tokenize_text = (text) => text.match(WORDS_AND_SIGNS) ?? []),
  ],
  [
    "WhitespaceSplitPreTokenizer",
    (step) => (step.pre_tokenize_text = (text) => text.match(/\P{White_Space}+/gu) ?? []),
  ],
  [
    "BertPreTokenizer",
    (step) => (step.pre_tokenize_text = (text) => text.match(step.pattern as RegExp) ?? []),
  ],
  [
    "PunctuationPreTokenizer",
    (step, settings) => (step.pre_tokenize_text = (text) => splitText(text, PUNCTUATION, settings)),
  ],
  [
    "SplitPreTokenizer",
    (step, settings) =>
      (step.pre_tokenize_text = (text) => splitText(text, step.pattern as RegExp, settings)),
  ],
  ["MetaspaceDecoder", (step, settings) => (step.decode_chain = withSpaces(settings))],
  ["ByteLevelDecoder", (step) => (step.convert_tokens_to_string = (tokens) => bytesText(step, tokens))],
  // The library drops U+FEFF at the start of the bytes.
  ["ByteFallbackDecoder", (step) => (step.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true }))],
];

/** Changes a step, if the original library differs in its class. */
export function useOriginal(step: TokenizerStep): void {
  for (const [name, change] of CHANGES) {
    if (step instanceof CLASSES[name]!) change(step, (step.config ?? {}) as StepSettings);
  }
}
