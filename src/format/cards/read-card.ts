/** @file Reads the licence from a model card, and how the result was made. Cards are not trusted: anybody may have written them. */
import type { Folder } from "../files/folder.ts";
import { unescapeText } from "./escape.ts";
import { CARD_FILE, FACTS_HEADING, type Fact } from "./model-card.ts";

const MAX_ROWS = 40;
const MAX_CHARACTERS = 500;
const UNKNOWN = "unknown";

export interface ReadCard {
  /** Null: the card names none. */
  readonly license: string | null;
  readonly facts: readonly Fact[];
}

/** Reads the card of a folder; a missing or unreadable one gives no licence and no facts. */
export async function readCard(folder: Pick<Folder, "text">): Promise<ReadCard> {
  const text = await folder.text(CARD_FILE).catch(() => null);
  return text === null ? { license: null, facts: [] } : parseCard(text);
}

/** Reads a card. */
export function parseCard(text: string): ReadCard {
  const lines = text.split(/\r?\n/);
  return { license: licenseIn(lines), facts: factsIn(lines) };
}

function licenseIn(lines: readonly string[]): string | null {
  if (lines[0]?.trim() !== "---") return null;
  const end = lines.indexOf("---", 1);
  for (const line of lines.slice(1, end < 0 ? 1 : end)) {
    const [, value = ""] = /^license:\s*(.+?)\s*$/.exec(line) ?? [];
    // One word, with or without quotes: lists of licences and comments name none that could be copied.
    const [, word] = /^["']?([\w.+-]{1,100})["']?$/.exec(value) ?? [];
    if (word !== undefined) return word === UNKNOWN ? null : word;
  }
  return null;
}

function factsIn(lines: readonly string[]): Fact[] {
  const start = lines.indexOf(`## ${FACTS_HEADING}`);
  if (start < 0) return [];
  const facts: Fact[] = [];
  for (const line of lines.slice(start + 1).filter((text) => text !== "")) {
    const cells = /^\| ((?:[^|\\]|\\.)*) \| ((?:[^|\\]|\\.)*) \|$/.exec(line);
    if (!cells || facts.length > MAX_ROWS) break;
    const [what, value] = cells.slice(1).map((cell) => unescapeText(cell).slice(0, MAX_CHARACTERS));
    facts.push([what!, value!]);
  }
  // Drops the head of the table and the line below it.
  return facts.slice(2);
}
