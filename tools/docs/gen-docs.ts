/**
 * @file Writes the generated pages of docs/, the generated parts of README.md and the type of a training's settings.
 *
 * `--check` writes nothing and ends with status 1 when a file would change.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

import { generatedPages, readmeParts } from "./pages.ts";
import { trainInputSource } from "./train-input.ts";

/**
 * Replaces what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
 * @throws Error when a part has no markers, or markers have no part.
 */
export function fillParts(text: string, parts: ReadonlyMap<string, string>): string {
  const filled = new Set<string>();
  const result = text.replaceAll(/<!-- begin (\S+) -->[\s\S]*?<!-- end \1 -->/g, (_, name: string) => {
    const part = parts.get(name);
    if (part === undefined) throw new Error(`Cannot fill part "${name}": nothing generates it`);
    filled.add(name);
    return `<!-- begin ${name} -->\n${part}\n<!-- end ${name} -->`;
  });
  const missing = [...parts.keys()].filter((name) => !filled.has(name));
  if (missing.length > 0) throw new Error(`Cannot fill parts ${missing.join(", ")}: there are no markers`);
  return result;
}

/** The texts that the files should have, by path from `root`. */
export function wantedFiles(root: URL): ReadonlyMap<string, string> {
  const readme = readFileSync(new URL("README.md", root), "utf8");
  return new Map([
    ...generatedPages(),
    ["README.md", fillParts(readme, readmeParts())],
    ["src/train/settings/train-input.ts", trainInputSource()],
  ]);
}

function main(args: readonly string[]): number {
  const root = new URL("../../", import.meta.url);
  const changed = [...wantedFiles(root)].filter(([path, text]) => {
    const file = new URL(path, root);
    return !existsSync(file) || readFileSync(file, "utf8") !== text;
  });
  if (args.includes("--check")) {
    for (const [path] of changed) console.error(`${path} is out of date: run npm run docs and commit`);
    return changed.length === 0 ? 0 : 1;
  }
  for (const [path, text] of changed) {
    writeFileSync(new URL(path, root), text);
    console.log(`wrote ${path}`);
  }
  return 0;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
