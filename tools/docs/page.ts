/** @file A generated page of docs/. */

const NOTE = "<!-- Written by `npm run docs`; change the program, not this page. -->";

/** Joins a title and paragraphs. */
export function page(title: string, ...parts: readonly string[]): string {
  return `${[`# ${title}`, NOTE, ...parts].join("\n\n")}\n`;
}
