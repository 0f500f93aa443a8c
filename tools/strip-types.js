/**
 * @file Strips the types of all sources into the cache of tools/compile-cache.js, for a fresh clone without one: otherwise each test
 * file would load the stripper, which takes a tenth of a second of processor time. This uses an internal module of Node
 * (--expose-internals); if a version of Node lacks it, a message says so, and files are stripped one by one.
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
