/** @file Keeps what Node made of the sources, as bin/graft.js does: taking out the types is most of the start of a test file. */
import module from "node:module";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../node_modules/.cache/graft", import.meta.url));
module.enableCompileCache(folder);
// Processes that a test starts inherit it.
process.env.NODE_COMPILE_CACHE = folder;
