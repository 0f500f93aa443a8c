/**
 * @file Caches what Node compiles from the sources, and resolves imports as bin/graft.js does: stripping types and looking up
 * files take most of the time that a test file needs to start.
 */
import module from "node:module";
import { fileURLToPath } from "node:url";
import { registerOwnImports } from "../bin/own-imports.js";

const folder = fileURLToPath(new URL("../node_modules/.cache/graft", import.meta.url));
module.enableCompileCache(folder);
// Processes that a test starts inherit it.
process.env.NODE_COMPILE_CACHE = folder;

const root = new URL("..", import.meta.url).href;
const isOwn = (url) => url.startsWith(root) && url.endsWith(".ts") && !url.includes("/node_modules/");
registerOwnImports(isOwn, "module-typescript");
