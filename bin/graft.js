#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=1000000 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 node --min-semi-space-size=4 --max-semi-space-size=4
// A small young generation, of one size: the default one begins with 1 MB, which is collected fifty times before a text
// begins, and grows to 100 MB that training has better uses for. Memory of more than 1 MB goes back to the system as soon
// as it is free, where the C library would keep it: 80 MB in runs that recompute. Large pages, where the system gives them
// to who asks (Linux): a training step takes 7 % less.
// In a clone the TypeScript source runs as it is (Node >= 22.18); an installed package carries JavaScript for Node >= 20.
// A clone also carries a new Node of its own, for machines whose Node is older.
// Started as `node bin/graft.js` it has none of this, and starts again with it where it can: the C library reads its settings
// once, when a process begins.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const source = new URL("../src/cli/main.ts", import.meta.url);
const compiled = new URL("../dist/cli/main.js", import.meta.url);
const ownNode = fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url));

/** Variable with the process of a Node too old to run graft, which has started another. */
const LAUNCHER = "GRAFT_LAUNCHER";

const [major, minor] = process.versions.node.split(".").map(Number);
const isClone = existsSync(source);
const isNewEnough = isClone ? major > 22 || (major === 22 && minor >= 18) : major >= 20;

if (process.argv.length === 3 && process.argv[2] === "--version") {
  // As main() does, without what it takes to start.
  console.log(JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version);
} else if (isNewEnough) {
  if (process.connected && process.env[LAUNCHER] === String(process.ppid)) endWithParent();
  const { settings, flags } = firstLine();
  const isSet = Object.keys(settings).every((name) => name in process.env);
  // What was forked has a channel to its parent, which would end.
  if (process.execve && !isSet && !process.connected) {
    const words = [process.execPath, ...flags, ...process.execArgv, ...process.argv.slice(1)];
    process.execve(process.execPath, words, { ...settings, ...process.env });
  }
  // Taking the types out of the sources takes most of the time of a start; Node keeps what it made of them.
  if (isClone)
    module.enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/graft", import.meta.url)));
  const program = isClone ? source : compiled;
  const own = new URL("..", program).href;
  const format = isClone ? "module-typescript" : "module";
  const { registerOwnImports } = await import("./own-imports.js");
  registerOwnImports((url) => url.startsWith(own), format);
  const loaded = await import(program.href).catch(refuseMissing);
  if (loaded) process.exitCode = await loaded.main(process.argv.slice(2));
} else if (process.execPath !== ownNode && existsSync(ownNode)) {
  const { settings, flags } = firstLine();
  const child = spawn(ownNode, [...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    // A parent that is killed closes the channel.
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...settings, ...process.env, [LAUNCHER]: String(process.pid) },
  });
  // The terminal sends Ctrl+C to both processes; the child decides when to end.
  process.on("SIGINT", () => {});
  for (const name of ["SIGTERM", "SIGHUP"]) process.on(name, () => child.kill(name));
  child.on("exit", (status, signal) => {
    process.exitCode = signal === null ? (status ?? 1) : 128 + constants.signals[signal];
  });
} else {
  refuse(
    `Cannot run graft on Node ${process.versions.node}: expected Node ${isClone ? "22.18" : "20"} or newer`,
    "Install a current Node (24 is the tested one), or run npm ci in a clone.",
  );
}

/** Ends as suddenly as the Node that has started this one: nobody else knows that there are two. */
function endWithParent() {
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  process.channel.unref();
}

/** What the first line gives the C library and Node. */
function firstLine() {
  const words = readFileSync(fileURLToPath(import.meta.url), "utf8")
    .split("\n", 1)[0]
    .split(" ");
  const settings = words
    .filter((word) => /^[A-Z_]+=/.test(word))
    .map((word) => /^(.*?)=(.*)$/.exec(word).slice(1));
  return { settings: Object.fromEntries(settings), flags: words.filter((word) => word.startsWith("--")) };
}

/** Refuses to run where a package is not there, as in a clone before `npm ci`. */
function refuseMissing(error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  refuse(
    `Cannot run graft without the packages that it is built on: ${error.message}`,
    "Run npm ci in the clone, or install the package again.",
  );
}

function refuse(message, hint) {
  console.error(`error[usage/node]: ${message}\nhint: ${hint}`);
  process.exitCode = 2;
}
