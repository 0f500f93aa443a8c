/**
 * @file Run by `core.test.ts` under the conditions of browsers and without globals of Node: loads graft/core and all that
 * its files and packages may import later, and reads a table. Prints what of Node was asked for, and the row.
 */
import { readFileSync } from "node:fs";
import { isBuiltin, registerHooks } from "node:module";

const DYNAMIC = /\bimport\(\s*["']([^"']+)["']\s*\)/g;

const { log } = console;
const asked: string[] = [];
const later = new Set<string>();

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (!isBuiltin(specifier)) return nextResolve(specifier, context);
    asked.push(`${specifier} by ${context.parentURL}`);
    return { url: "data:text/javascript,", shortCircuit: true };
  },
  load(url, context, nextLoad) {
    const text = url.startsWith("file:") ? readFileSync(new URL(url), "utf8") : "";
    for (const [, specifier = ""] of text.matchAll(DYNAMIC)) {
      later.add(specifier.startsWith(".") ? new URL(specifier, url).href : specifier);
    }
    return nextLoad(url, context);
  },
});
for (const name of ["Buffer", "process", "setImmediate"]) Reflect.deleteProperty(globalThis, name);

await import("../../src/core.ts");
for (const url of later) {
  // What comments name may not exist, or be types.
  await import(url).catch(() => null);
}
const { parseTable } = await import("../../src/data/formats/csv-rows.ts");
const [row] = parseTable('text,label\n"a, ""b""",é\n', "rows.csv", [","], { hasNoHeader: false });
log(JSON.stringify({ asked, row }));
