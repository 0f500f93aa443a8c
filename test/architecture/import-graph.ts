/** @file Who imports whom in a folder, read from the text of the files; types count like values. */
import { readFileSync, readdirSync } from "node:fs";
import { join, posix } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const IMPORT = /(?:^|\n)\s*(?:import|export)\b[^;"']*?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

/** What package.json calls by names of its own, in Node. */
const { imports: ALIASES } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  imports: Readonly<Record<string, { readonly default: string }>>;
};

/** Reads what every file of a folder, tests left out, imports: files by their path from the folder, else the name of a package. */
export function readImports(folder = "src"): Map<string, readonly string[]> {
  const names = (readdirSync(join(ROOT, folder), { recursive: true }) as string[])
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.includes("node_modules"));
  return new Map(
    names.map((name) => {
      const text = readFileSync(join(ROOT, folder, name), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
      const found = [...text.matchAll(IMPORT)].map(([, named, awaited]) => (named ?? awaited)!);
      const imports = found.map((to) =>
        to.startsWith(".")
          ? posix.normalize(posix.join(posix.dirname(name), to))
          : (ALIASES[to]?.default ?? to),
      );
      return [name, [...new Set(imports)]];
    }),
  );
}

/** Finds everything that can be reached from a file, and by which file it was reached first. */
export function reachable(
  imports: ReadonlyMap<string, readonly string[]>,
  start: string,
): Map<string, string | null> {
  const from = new Map<string, string | null>([[start, null]]);
  for (const name of from.keys()) {
    for (const to of imports.get(name) ?? []) if (!from.has(to)) from.set(to, name);
  }
  return from;
}

/** Finds the groups of files that can all be reached from each other, each sorted. */
export function findCircles(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const reach = new Map([...imports.keys()].map((name) => [name, reachable(imports, name)]));
  const seen = new Set<string>();
  const circles: string[][] = [];
  for (const [name, ahead] of reach) {
    if (seen.has(name)) continue;
    const circle = [...ahead.keys()].filter((other) => reach.get(other)?.has(name));
    for (const member of circle) seen.add(member);
    if (circle.length > 1) circles.push(circle.sort());
  }
  return circles;
}
