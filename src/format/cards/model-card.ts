/**
 * @file Model cards: the README.md of a result, with the front matter that model sites read. No dates: equal results have
 * equal cards.
 */
import { type FolderFile, textFile } from "../files/folder-file.ts";
import { escapeText, yamlText } from "./escape.ts";

export const CARD_FILE = "README.md";
/** Heading of the table of facts. */
export const FACTS_HEADING = "How it was made";

/** A name and a value, as plain text. */
export type Fact = readonly [what: string, value: string];

/** How a result was made. */
export interface Provenance {
  /** Licence of the base, by its name on model sites; null: its files do not tell. */
  readonly license: string | null;
  /** Data sets of model sites that it was trained on. */
  readonly datasets: readonly string[];
  readonly facts: readonly Fact[];
  /** Settings by name; null: there are none. */
  readonly settings: Readonly<Record<string, unknown>> | null;
  /** How the parts of a combined result were made, by name. */
  readonly parts: readonly { readonly name: string; readonly facts: readonly Fact[] }[];
}

/** The provenance of a result of which nothing is known besides its files. */
export const UNKNOWN_PROVENANCE: Provenance = {
  license: null,
  datasets: [],
  facts: [],
  settings: null,
  parts: [],
};

export interface ModelCard {
  /** Plain text. */
  readonly title: string;
  /** Null: not known. */
  readonly baseName: string | null;
  /** The library that the result is for, by its name on model sites. */
  readonly library: "peft" | "transformers" | "transformers.js" | "onnx" | "graft";
  readonly tags: readonly string[];
  readonly provenance: Provenance;
  /** Markdown, not escaped: which programs read it, and how. */
  readonly usage: readonly string[];
}

/** Matches OWNER/NAME, with or without a revision; not paths on disk. */
const HUB_NAME = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@.+)?$/;

/** Plans the card of a folder. */
export function cardFile(card: ModelCard): FolderFile {
  return textFile(CARD_FILE, formatCard(card));
}

/** Writes a card. */
export function formatCard({ title, baseName, library, tags, provenance, usage }: ModelCard): string {
  const { license, datasets, facts, settings, parts } = provenance;
  // Model sites refuse cards whose base is not one of theirs.
  const repository = HUB_NAME.exec(baseName ?? "")?.[1];
  const all: readonly Fact[] = [
    ["base model", baseName ?? "unknown"],
    ["licence of the base", license ?? "unknown"],
    ...facts,
  ];
  const settingRows = Object.entries(settings ?? {}).map(([key, value]): Fact => {
    return [key, typeof value === "string" ? value : (JSON.stringify(value) ?? "")];
  });
  return [
    "---",
    ...(repository === undefined ? [] : [`base_model: ${yamlText(repository)}`]),
    `library_name: ${library}`,
    `license: ${yamlText(licenseName(license ?? "unknown"))}`,
    "tags:",
    ...tags.map((tag) => `- ${yamlText(tag)}`),
    ...(datasets.length === 0 ? [] : ["datasets:", ...datasets.map((name) => `- ${yamlText(name)}`)]),
    "---",
    "",
    `# ${escapeText(title)}`,
    "",
    ...usage,
    "",
    `## ${FACTS_HEADING}`,
    "",
    ...table("what", all),
    ...(settingRows.length === 0 ? [] : ["", "## Settings", "", ...table("setting", settingRows)]),
    ...parts.flatMap((part) => [
      "",
      `## How ${escapeText(part.name)} was made`,
      "",
      ...(part.facts.length === 0 ? ["Its folder does not say."] : table("what", part.facts)),
    ]),
    "",
  ].join("\n");
}

/** The name of a licence as model sites accept it: one word. */
function licenseName(license: string): string {
  return /^[\w.+-]{1,100}$/.test(license) ? license.toLowerCase() : "other";
}

function table(head: string, rows: readonly Fact[]): string[] {
  return [
    `| ${head} | value |`,
    "| --- | --- |",
    ...rows.map(([what, value]) => `| ${escapeText(what)} | ${escapeText(value)} |`),
  ];
}
