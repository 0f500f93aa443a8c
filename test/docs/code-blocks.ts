/** @file Code blocks of Markdown pages, with the reason when a block is not to be run. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));

/** The pages whose blocks are run and have their types checked, by their paths in the repository. */
export const PAGES = ["README.md", ...readdirSync(DOCS).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);

/** A fenced block. */
interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** Line of its first fence, from 1. */
  readonly line: number;
  /** Text of the comment `<!-- not run: REASON -->` right before it; null when it is to be run. */
  readonly notRun: string | null;
}

/** Finds the fenced blocks of a page. @throws Error for a fence that is not closed */
export function codeBlocks(markdown: string): CodeBlock[] {
  const lines = markdown.split("\n");
  const blocks: CodeBlock[] = [];
  for (let i = 0; i < lines.length; i++) {
    const language = /^```(\w*)$/.exec(lines[i] ?? "")?.[1];
    if (language === undefined) continue;
    const end = lines.indexOf("```", i + 1);
    if (end < 0) throw new Error(`Cannot read code block: the fence of line ${i + 1} is not closed`);
    const notRun = /^<!-- not run: (.+) -->$/.exec(lines[i - 1] ?? "")?.[1] ?? null;
    blocks.push({ language, code: `${lines.slice(i + 1, end).join("\n")}\n`, line: i + 1, notRun });
    i = end;
  }
  return blocks;
}
