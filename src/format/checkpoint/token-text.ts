/** @file Tokens in a tokenizer's files. */

/** Reads the text of a token, which is a text or an object with `content` and other settings; null when it is neither. */
export function tokenText(token: unknown): string | null {
  if (typeof token === "string") return token;
  if (typeof token === "object" && token !== null && "content" in token) return tokenText(token.content);
  return null;
}
