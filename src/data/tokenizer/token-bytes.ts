/** @file The bytes of single tokens, which may be parts of characters. In strings here, each character represents one byte. */

type Fields = Readonly<Record<string, unknown>>;

/** Represents a space in SentencePiece tokens. */
const METASPACE = "▁";

/** The bytes of a text, one character each. */
export function utf8(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/**
 * Makes a function from the written form of a token to its bytes, according to the decoder of its file; null if the decoder
 * joins words.
 */
export function byteReader(decoder: unknown): ((token: string) => string) | null {
  const { type, decoders } = (decoder ?? {}) as Fields;
  const steps = type === "Sequence" ? ((decoders ?? []) as Fields[]) : [(decoder ?? {}) as Fields];
  if (steps.some((step) => step["type"] === "ByteLevel")) {
    const byteOf = symbolBytes();
    return (token) => {
      let text = "";
      for (let i = 0; i < token.length; i++) text += byteOf[token.charCodeAt(i)] ?? "";
      return text.length === token.length ? text : utf8(token);
    };
  }
  if (steps.some((step) => step["type"] === "WordPiece" || step["type"] === "CTC")) return null;
  return (token) => {
    let text = token;
    for (const step of steps) {
      const pattern = ((step["pattern"] ?? {}) as Fields)["String"];
      if (step["type"] === "Replace" && typeof pattern === "string") {
        text = text.replaceAll(pattern, String(step["content"]));
      }
      if (step["type"] === "Metaspace") text = text.replaceAll(METASPACE, " ");
      const byte = step["type"] === "ByteFallback" ? /^<0x([0-9A-F]{2})>$/.exec(text) : null;
      if (byte) return String.fromCharCode(Number.parseInt(byte[1]!, 16));
    }
    return utf8(text);
  };
}

/**
 * Maps the characters of byte-level BPE to the bytes that they represent: printable ones represent themselves, others begin at
 * U+0100.
 */
function symbolBytes(): string[] {
  const bytes: string[] = [];
  let numHidden = 0;
  for (let byte = 0; byte < 256; byte++) {
    const isShown = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    bytes[isShown ? byte : 0x100 + numHidden++] = String.fromCharCode(byte);
  }
  return bytes;
}
