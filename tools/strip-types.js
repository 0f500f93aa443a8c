/**
 * @file Takes the types out of all sources into the cache of tools/compile-cache.js, which a fresh clone has not: each test file
 * would load what does that for itself alone, a tenth of a second of processor time. The way there is internal to Node
 * (--expose-internals); where another Node has none, it says so, and files are stripped one by one.
 */
import { globSync, readFileSync } from "node:fs";
import { createRequire, flushCompileCache } from "node:module";
import "./compile-cache.js";

const root = new URL("..", import.meta.url);

try {
  const { stripTypeScriptModuleTypes } = createRequire(import.meta.url)("internal/modules/typescript");
  for (const path of globSync("{src,test,tools,examples,bench,experiments}/**/*.ts", { cwd: root })) {
    const { href } = new URL(path, root);
    stripTypeScriptModuleTypes(readFileSync(new URL(href), "utf8"), href);
  }
  flushCompileCache();
} catch (error) {
  console.error(`Cannot strip all sources at once: ${error.message}`);
}
