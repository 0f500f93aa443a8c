/**
 * @file SentencePiece's BPE, from the pieces and scores of a GGUF file (`tokenizer.ggml.model` "llama").
 *
 * Such a file lists no merges: two neighbours merge if the result is a piece, that with the highest score first. So every way to
 * split a piece into two pieces is a merge, in the order of the scores of the results.
 */
import type { JsonObject } from "../../files/json-file.ts";

/** Stands for a space inside pieces. */
const SPACE = "▁";

export type Merge = readonly [left: string, right: string];

/** Lists the merges that pieces with scores imply; pieces that are never the result of a merge have a null score. */
export function mergesOfPieces(
  pieces: readonly string[],
  scoreOf: (id: number) => number | null,
): readonly Merge[] {
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const found: {
    readonly merge: Merge;
    readonly score: number;
    readonly left: number;
    readonly right: number;
  }[] = [];
  for (const [piece, id] of ids) {
    const score = scoreOf(id);
    if (score === null) continue;
    for (let at = 1; at < piece.length; at++) {
      const merge: Merge = [piece.slice(0, at), piece.slice(at)];
      const [left, right] = [ids.get(merge[0]), ids.get(merge[1])];
      if (left !== undefined && right !== undefined) found.push({ merge, score, left, right });
    }
  }
  const lengthOf = ([left, right]: Merge): number => left.length + right.length;
  found.sort(
    (a, b) =>
      b.score - a.score || lengthOf(b.merge) - lengthOf(a.merge) || a.left - b.left || a.right - b.right,
  );
  return found.map(({ merge }) => merge);
}

/** Converts a user-defined token, written with spaces, to a piece, where ▁ stands for a space. */
export function pieceOfText(text: string): string {
  return text.replaceAll(" ", SPACE);
}

/** The inverse of `pieceOfText`. */
export function textOfPiece(piece: string): string {
  return piece.replaceAll(SPACE, " ");
}

const TO_SIGNS: JsonObject = { type: "Replace", pattern: { String: " " }, content: SPACE };
const PREFIX: JsonObject = { type: "Prepend", prepend: SPACE };

/** Makes the normalizer: optionally puts a space first, then replaces spaces by ▁. */
export function spaceNormalizer(addsPrefix: boolean): JsonObject {
  return addsPrefix ? { type: "Sequence", normalizers: [PREFIX, TO_SIGNS] } : TO_SIGNS;
}

/** Makes the decoder: ▁ becomes a space, bytes become characters, and a space that was put first is removed. */
export function pieceDecoder(addsPrefix: boolean): JsonObject {
  const decoders: JsonObject[] = [
    { type: "Replace", pattern: { String: SPACE }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  if (addsPrefix) decoders.push({ type: "Strip", content: " ", start: 1, stop: 0 });
  return { type: "Sequence", decoders };
}

/**
 * Finds scores that imply given merges: the earlier a piece is made, the higher. Null if there are none, because some way to split
 * a piece is not a merge.
 */
export function scoresOfMerges(
  pieces: readonly string[],
  merges: readonly Merge[],
): readonly number[] | null {
  const scores = new Map<string, number>();
  for (const [at, [left, right]] of merges.entries()) {
    if (!scores.has(left + right)) scores.set(left + right, -at);
  }
  const keyOf = (merge: Merge): string => JSON.stringify(merge);
  const given = new Set(merges.map(keyOf));
  const implied = mergesOfPieces(pieces, (id) => scores.get(pieces[id]!) ?? 0);
  if (implied.length !== given.size || !implied.every((merge) => given.has(keyOf(merge)))) return null;
  // A piece that no merge makes is a character, a byte or a special token; its score is never used.
  return pieces.map((piece) => scores.get(piece) ?? -merges.length);
}
