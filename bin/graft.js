#!/usr/bin/env node
// In a clone the TypeScript source runs as it is (Node >= 22.18); an installed package carries compiled JavaScript.
import { existsSync } from "node:fs";

const source = new URL("../src/cli/main.ts", import.meta.url);
const compiled = new URL("../dist/cli/main.js", import.meta.url);
const { main } = await import(existsSync(source) ? source.href : compiled.href);
process.exitCode = await main(process.argv.slice(2));
