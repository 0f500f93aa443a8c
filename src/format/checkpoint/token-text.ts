/** @file How a token of a tokenizer's files is written. */

/** Reads a token, which is a text or an object with `content`, how it is read beside it; null when it is neither. */
export function tokenText(token: unknown): string | null {
  if (typeof token === "string") return token;
  if (typeof token === "object" && token !== null && "content" in token) return tokenText(token.content);
  return null;
}
