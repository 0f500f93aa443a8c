/** @file Breaks text into lines. */

/** Breaks a text into lines of at most `width` characters, at spaces where possible. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph
      .split(" ")
      .flatMap((w) => w.match(new RegExp(`.{1,${width}}`, "g")) ?? [""])) {
      const longer = line === "" ? word : `${line} ${word}`;
      if (longer.length > width) {
        lines.push(line);
        line = word;
      } else line = longer;
    }
    lines.push(line);
  }
  return lines;
}
