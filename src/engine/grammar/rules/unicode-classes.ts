/** @file Classes of Unicode's characters, such as letters (`L`), as JavaScript's own regular expressions know them. */
import { type CodeRange, LAST_CODE, joinRanges } from "./characters.ts";

/** Code points that are tested together: in most chunks, all or none are in a class. */
const CHUNK = 512;
/** All characters, in chunks: making them takes ten times as long as searching them for a class. */
let texts: readonly string[] | null = null;
const known = new Map<string, readonly CodeRange[]>();

/** Finds the characters of a class by the text in the braces of `\p{…}`; null: there is no such class. */
export function unicodeClass(name: string): readonly CodeRange[] | null {
  const found = known.get(name) ?? findClass(name);
  if (found) known.set(name, found);
  return found;
}

function findClass(name: string): readonly CodeRange[] | null {
  const [some, all] = [compile(`\\p{${name}}`), compile(`^\\p{${name}}+$`)];
  if (!/^[\w=]+$/.test(name) || !some || !all) return null;
  texts ??= Array.from({ length: (LAST_CODE + 1) / CHUNK }, (_, i) =>
    String.fromCodePoint(...Array.from({ length: CHUNK }, (_sign, j) => i * CHUNK + j)),
  );
  const ranges = texts.flatMap((text, i): CodeRange[] => {
    const low = i * CHUNK;
    if (all.test(text)) return [[low, low + CHUNK - 1]];
    if (!some.test(text)) return [];
    return Array.from(text).flatMap((sign, j) => (some.test(sign) ? [[low + j, low + j]] : []));
  });
  return joinRanges(ranges);
}

/** null: JavaScript knows no such class. */
function compile(source: string): RegExp | null {
  try {
    return new RegExp(source, "u");
  } catch {
    return null;
  }
}
