import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { text } from "node:stream/consumers";
import { fileURLToPath, pathToFileURL } from "node:url";

import { z } from "zod";

import { FailedError } from "../errors.ts";
import { type CommandBody, defineCommand, type ListedCommand } from "./command.ts";
import { COMMANDS, loadCommands } from "./commands.ts";
import { ownStart } from "../../test/process/own-start.ts";
import { type Said, runMain } from "../../test/process/run-main.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const BIN = fileURLToPath(new URL("../../bin/graft.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "graft-main-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the program inside this process. */
const run = (
  words: readonly string[],
  commands?: readonly ListedCommand[],
  signal?: AbortSignal,
): Promise<Said> => runMain(words, { GRAFT_HOME: folder }, { commands, signal });

function list(name: string, body: CommandBody): ListedCommand {
  return { name, summary: "Test", load: async () => ({ name, summary: "Test", ...body }) };
}

function makeCommand(name: string, run: CommandBody["run"]): ListedCommand {
  return list(name, defineCommand({ example: "", positionals: [], options: z.strictObject({}), run }));
}

test("graft, graft --help, graft -h and graft help all list the commands", async () => {
  const { status, stdout } = await run(["--help"]);
  assert.equal(status, 0);
  assert.match(stdout, /^Commands:\n {2}quickstart /m);
  for (const words of [[], ["-h"], ["help"]]) assert.equal((await run(words)).stdout, stdout);
  assert.equal((await run(["help", "pull"])).stdout, (await run(["pull", "-h"])).stdout);
});

test("a command that hands words on gets all of them, flags too", async () => {
  let given: unknown = null;
  const body = defineCommand({
    example: "npx graft hand a",
    positionals: ["words"],
    takesAllWords: true,
    options: z.strictObject({ words: z.array(z.string()).default([]) }),
    run: ({ words }) => {
      given = words;
      return Promise.resolve();
    },
  });
  const hand = list("hand", body);
  assert.equal((await run(["hand", "a,b", "--steps", "3", "--help"], [hand])).status, 0);
  assert.deepEqual(given, ["a,b", "--steps", "3", "--help"]);
  await run(["hand"], [hand]);
  assert.deepEqual(given, []);
  assert.match((await run(["hand", "--help"], [hand])).stdout, /^Usage: graft hand/m);
});

test("graft --version prints the version alone", async () => {
  const { stdout } = await run(["--version"]);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  for (const short of ["-V", "-v"]) assert.equal((await run([short])).stdout, stdout, short);
});

test("help may be asked for before the command, and more than once", async () => {
  const own = (await run(["pull", "--help"])).stdout;
  for (const words of [
    ["--help", "pull"],
    ["-h", "pull"],
    ["help", "pull", "-h"],
    ["-h", "--help", "pull"],
  ])
    assert.equal((await run(words)).stdout, own, words.join(" "));
  const all = (await run(["--help"])).stdout;
  for (const words of [
    ["-h", "-h"],
    ["help", "--help"],
    ["help", "help"],
  ])
    assert.equal((await run(words)).stdout, all, words.join(" "));
  assert.equal((await run(["--help", "pul"])).status, 2);
});

/** Runs the sources as a process; returns the files that it loaded. */
async function loadedFiles(...words: readonly string[]): Promise<string[]> {
  return await loadedBy(MAIN, ...words);
}

async function loadedBy(program: string, ...words: readonly string[]): Promise<string[]> {
  const hook = `
    import { registerHooks } from "node:module";
    const urls = [];
    registerHooks({ load(url, context, next) { urls.push(url); return next(url, context); } });
    process.on("exit", () => console.error(urls.join("\\n")));`;
  const args = ["--import", `data:text/javascript,${encodeURIComponent(hook)}`, program, ...words];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.equal(status, 0, stderr);
  return stderr.split("\n").filter((url) => url.startsWith("file:"));
}

test("the help of a kind that there is not is refused by its flag; whatever else is wrong, help is shown", async () => {
  for (const command of await loadCommands()) {
    const words = command.name.split(" ");
    const asked = command.takesAllWords ? ["--help"] : ["--nope", "x", "--help"];
    const { status, stdout } = await run([...words, ...asked]);
    assert.deepEqual([status, stdout.includes(`Usage: graft ${command.name}`)], [0, true], command.name);
    for (const { key, kinds } of command.choosers ?? []) {
      const refused = await run([...words, `--${key}`, "nope", "--help"]);
      const names = kinds.map(({ name }) => name).join(", ");
      assert.equal(refused.status, 2);
      assert.equal(refused.stdout, "");
      assert.ok(
        refused.stderr.includes(`graft ${command.name}": --${key} is "nope", expected one of ${names}`),
      );
    }
  }
});

test("the version loads next to nothing, and the help of a command only that one", async () => {
  const forVersion = await loadedFiles("--version");
  assert.ok(forVersion.length < 20, forVersion.join("\n"));
  assert.ok(forVersion.every((url) => !/node_modules\/(?!picocolors)/.test(url)));
  assert.deepEqual(await loadedFiles("--help"), forVersion);
  assert.deepEqual(await loadedBy(BIN, "--version"), [pathToFileURL(BIN).href]);
  const started = await loadedBy(BIN, "--help");
  const ownImports = new URL("own-imports.js", pathToFileURL(BIN)).href;
  assert.deepEqual(started, [pathToFileURL(BIN).href, ownImports, ...forVersion]);
  const forPull = await loadedFiles("pull", "--help");
  assert.ok(forPull.some((url) => url.endsWith("/src/cli/commands/pull.ts")));
  assert.ok(
    !forPull.some((url) => /\/src\/(cli\/commands\/(train|chat|merge)\.|engine\/|models\/)/.test(url)),
  );
});

test("the help of a training loads what can be chosen, and nothing that trains", async () => {
  const forTrain = await loadedFiles("train", "--help");
  for (const chosen of ["peft/methods", "optim/optimizers", "train/objectives"])
    assert.ok(
      forTrain.some((url) => url.endsWith(`/src/${chosen}.ts`)),
      chosen,
    );
  const trains =
    /\/src\/(engine|models\/families|run\/blocks|train\/(trainer|loop|plan|report|files))\b|hyparquet/;
  assert.deepEqual(
    forTrain.filter((url) => trains.test(url)),
    [],
  );
});

test("an unknown command is a usage error that names the nearest one", async () => {
  const { status, stdout, stderr } = await run(["pul", "x"]);
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(
    stderr,
    /^error\[usage\/flag\]: Cannot run "graft pul x": there is no such command\nhint: .*pull/,
  );
});

test("what other tools call a command leads to ours", async () => {
  for (const [theirs, ours] of [
    ["fuse", "merge"],
    ["lora", "train"],
    ["api", "serve"],
    ["validate", "data show"],
  ] as const) {
    const { status, stderr } = await run([theirs, "--model", "x"]);
    assert.equal(status, 2);
    assert.ok(stderr.includes(`hint: It is called ${ours} here; see graft --help.`), stderr);
    assert.ok(COMMANDS.some(({ name }) => name === ours));
  }
});

test("of flags before the command --json counts there too; others are told to go behind it", async () => {
  const commands = [makeCommand("train", async (_, io) => io.emit({ event: "done" }))];
  const { status, stdout } = await run(["--json", "train"], commands);
  assert.deepEqual([status, stdout], [0, '{"event":"done"}\n']);
  assert.equal((await run(["--json"], commands)).status, 0);
  for (const words of [["--model", "x", "train"], ["--json", "--model", "x"], ["--model"]]) {
    const { status, stderr } = await run(words, commands);
    assert.equal(status, 2);
    assert.match(
      stderr,
      /^error\[usage\/flag\]: Cannot run "graft --model": it is a flag, expected a command\nhint: Write the command first/,
    );
  }
});

test("a group of commands has a help of its own", async () => {
  const commands = [makeCommand("data show", async () => {}), makeCommand("train", async () => {})];
  const { status, stdout } = await run(["data", "--help"], commands);
  assert.equal(status, 0);
  assert.match(stdout, /data show/);
  assert.doesNotMatch(stdout, /train/);
  assert.equal((await run(["data", "shwo"], commands)).status, 2);
  assert.equal((await run(["data", "show"], commands)).status, 0);
});

test("an unknown flag ends with status 2 before the command runs", async () => {
  const { status, stderr } = await run(["pull", "--modle", "x"]);
  assert.equal(status, 2);
  assert.match(stderr, /--modle is not a flag, the nearest is --model/);
});

test("in --json mode errors are events as well, and nothing else is on standard output", async () => {
  const { status, stdout, stderr } = await run(["pull", "./nowhere", "--json"]);
  assert.equal(status, 1);
  const event = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual(Object.keys(event), ["event", "code", "message", "hint"]);
  assert.deepEqual([event["event"], event["code"]], ["error", "format/file"]);
  assert.match(stderr, /^error\[format\/file\]: /);
});

test("the exit status is the command's own, 1 for failures, and 130 for a stop", async () => {
  assert.equal((await run(["x"], [makeCommand("x", async () => 7)])).status, 7);
  const failing = makeCommand("x", async () => {
    throw new FailedError("train/nan", "Cannot go on");
  });
  const failed = await run(["x"], [failing]);
  assert.deepEqual([failed.status, failed.stderr], [1, "error[train/nan]: Cannot go on\n"]);
  const stop = new AbortController();
  const stopping = makeCommand("x", async (_, io) => {
    stop.abort();
    io.signal.throwIfAborted();
  });
  const stopped = await run(["x"], [stopping], stop.signal);
  assert.deepEqual([stopped.status, stopped.stderr], [130, "stopped\n"]);
});

test("an unexpected exception shows its stack and ends with status 1", async () => {
  const broken = makeCommand("x", async () => {
    throw new RangeError("oops");
  });
  const { status, stdout, stderr } = await run(["x", "--json"], [broken]);
  assert.equal(status, 1);
  assert.match(stderr, /RangeError: oops\n\s+at .*main\.test\.ts/);
  assert.equal((JSON.parse(stdout) as { code: string }).code, "internal");
});

test("stdout() speaks to people and emit() to programs, never both", async () => {
  const speaking = makeCommand("x", async (_, io) => {
    io.stdout("text");
    io.emit({ event: "step", loss: 1.5 });
  });
  assert.equal((await run(["x"], [speaking])).stdout, "text\n");
  assert.equal((await run(["x", "--json"], [speaking])).stdout, '{"event":"step","loss":1.5}\n');
});

test("graft pull prints the path of a local model, or an event with its size", async () => {
  const model = join(folder, "m");
  writeFileSync(model, "12345");
  assert.equal((await run(["pull", model])).stdout, `${model}\n`);
  assert.deepEqual(JSON.parse((await run(["pull", model, "--json"])).stdout), {
    event: "done",
    name: model,
    path: model,
    source: "local path",
    size_bytes: 5,
  });
});

test("the program runs as a process, from its source and through bin/", async () => {
  for (const entry of [MAIN, BIN]) {
    const child = spawn(process.execPath, [entry, "pull", "./nowhere"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "close")]);
    assert.equal(status, 1);
    assert.match(stderr, /error\[format\/file\]/);
  }
});

test("a reader that closes the pipe ends the program quietly", async () => {
  const child = spawn(process.execPath, [MAIN, "--help"], { stdio: ["ignore", "pipe", "pipe"] });
  child.stdout.destroy();
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.deepEqual([status, stderr], [0, ""]);
});

test("where nobody reads notes and errors the work goes on, with the status that it has", async () => {
  const child = spawn(process.execPath, [MAIN, "nonsense"], { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.destroy();
  const [status] = (await once(child, "close")) as [number];
  assert.equal(status, 2);
});

const noFullDisk = existsSync("/dev/full") ? false : "the system has no device that is full";

test("output that a full disk does not take is an error with its remedy", { skip: noFullDisk }, async () => {
  const full = openSync("/dev/full", "w");
  const child = spawn(process.execPath, [MAIN, "--help"], { stdio: ["ignore", full, "pipe"] });
  closeSync(full);
  const [stderr, [status]] = await Promise.all([text(child.stderr!), once(child, "close")]);
  assert.equal(status, 1);
  assert.match(stderr, /^error\[failed\/write\]: Cannot write the output: ENOSPC, .*\nhint: Free .*\n$/);
});

/** Signals itself when it has asked a hub: from outside, that might come after the hub was given up. */
const STOPS = `data:text/javascript,${encodeURIComponent(`
  const ask = fetch;
  globalThis.fetch = (...what) => {
    const answer = ask(...what);
    process.kill(process.pid, "SIGINT");
    return answer;
  };`)}`;

test("SIGINT stops a running pull with status 130", async () => {
  // It says nothing.
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const env = {
    ...process.env,
    GRAFT_HOME: folder,
    HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  };
  const child = spawn(process.execPath, ["--import", STOPS, MAIN, "pull", "owner/tiny"], { env });
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "close")]);
  server.closeAllConnections();
  server.close();
  assert.deepEqual([status, stderr], [130, "stopped\n"]);
});

test(
  "a working folder that was removed is told, and help is shown all the same",
  { skip: process.platform === "win32" },
  () => {
    const script = 'mkdir gone && cd gone && rmdir ../gone && "$@"';
    const call = (...words: readonly string[]) =>
      spawnSync("sh", ["-c", script, "sh", process.execPath, MAIN, ...words], {
        cwd: folder,
        encoding: "utf8",
      });
    const { status, stderr } = call("pull");
    assert.equal(status, 1);
    assert.match(stderr, /^error\[format\/file\]: Cannot find the working folder/);
    assert.equal(call("--help").status, 0);
  },
);

/** A clone of the program's start alone, with this in the place of what it starts; returns the file to run. */
function startOf(name: string, main: string): string {
  const clone = join(folder, name);
  cpSync(join(BIN, ".."), join(clone, "bin"), { recursive: true });
  mkdirSync(join(clone, "src/cli"), { recursive: true });
  writeFileSync(join(clone, "package.json"), '{"type": "module"}');
  writeFileSync(join(clone, "src/cli/main.ts"), main);
  return join(clone, "bin/graft.js");
}

test("a clone whose packages are not installed says so, and how they are", () => {
  const bin = startOf("clone", 'import "a-package-that-is-not-there";\n');
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, "pull"], {
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(
    stderr,
    /^error\[usage\/node\]: .*'a-package-that-is-not-there'.*\nhint: Run npm ci in the clone/,
  );
});

const startsAgain = process.execve !== undefined;
test(
  "started by any call of Node, it runs with what its first line sets, in the same process",
  { skip: !startsAgain },
  () => {
    const { env: settings, flags } = ownStart();
    const bin = startOf(
      "start",
      `export const main = async (words: string[]): Promise<number> => {
      console.log(JSON.stringify({ words, env: process.env, flags: process.execArgv, pid: process.pid }));
      for await (const chunk of process.stdin) console.log(JSON.stringify(String(chunk)));
      return 3;
    };\n`,
    );
    const others = Object.entries(process.env).filter(([name]) => !(name in settings));
    const call = (env: NodeJS.ProcessEnv) =>
      spawnSync(process.execPath, ["--no-warnings", bin, "a b", "--c=é"], {
        encoding: "utf8",
        input: "in",
        env,
      });
    for (const own of [{}, { GLIBC_TUNABLES: "glibc.malloc.tcache_count=0" }]) {
      const { status, stdout, stderr, pid } = call({ ...Object.fromEntries(others), ...own });
      assert.deepEqual([status, stderr], [3, ""]);
      const [told, read] = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown);
      const { env, ...start } = told as { env: Record<string, string>; flags: string[] };
      assert.deepEqual(
        [start, read],
        [{ words: ["a b", "--c=é"], flags: [...flags, "--no-warnings"], pid }, "in"],
      );
      for (const [name, value] of Object.entries({ ...settings, ...own })) assert.equal(env[name], value);
    }
  },
);

test("a Node too old for a clone that starts another takes it along when it is killed", async () => {
  const bin = startOf(
    "old",
    `export const main = async (): Promise<number> => {
      console.log(process.pid);
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      return 0;
    };\n`,
  );
  const own = join(bin, "../../node_modules/node/bin");
  mkdirSync(own, { recursive: true });
  symlinkSync(process.execPath, join(own, "node"));
  const old = join(folder, "old-node.mjs");
  writeFileSync(
    old,
    'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.0.0" } });',
  );
  const launcher = spawn(process.execPath, ["--import", pathToFileURL(old).href, bin], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(launcher.stdout, "data")) as [Buffer];
  const pid = Number(String(line));
  assert.notEqual(pid, launcher.pid);
  const closed = once(launcher, "close");
  launcher.kill("SIGKILL");
  // What it has started holds the other end of its output.
  await closed;
});
