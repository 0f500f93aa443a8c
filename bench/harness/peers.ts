/** @file The programs with which graft is compared (bench/peers/): their paths and versions, and models in a form that they read. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";

import { UsageError } from "../../src/errors.ts";
import { modelsFolderOf } from "../../src/hub/models-folder.ts";
import { DEFAULT_MODEL, resolveModel } from "../../src/hub/resolve.ts";
import type { BenchContext, Json } from "../bench.ts";
import { runChild, type ChildRun } from "./child.ts";

export const PEERS = join(import.meta.dirname, "../peers");

const VENV = join(PEERS, ".venv");

/** Python of the environment that `setup` makes. */
export const VENV_PYTHON =
  process.platform === "win32" ? join(VENV, "Scripts", "python.exe") : join(VENV, "bin", "python");

const SETUP = "Run npx graft bench setup first";

/** Python with torch and peft: `GRAFT_PEERS_PYTHON`, else that of `setup`. @throws UsageError "usage/flag" when there is none */
export function peersPython(env: NodeJS.ProcessEnv = process.env, own = VENV_PYTHON): string {
  const named = env["GRAFT_PEERS_PYTHON"];
  if (named) return named;
  if (existsSync(own)) return own;
  throw new UsageError("usage/flag", `Cannot find the peers' Python "${own}": no such file`, {
    hint: `${SETUP}, or set GRAFT_PEERS_PYTHON to a Python with torch, peft and transformers.`,
  });
}

/** Runs one of the Python scripts of bench/peers/. */
export function runPeer(script: string, args: readonly string[]): Promise<ChildRun> {
  return runChild(peersPython(), [join(PEERS, script), ...args], {
    environment: { TRANSFORMERS_VERBOSITY: "error" },
  });
}

/** Versions of torch, peft and transformers. */
export async function pythonVersions(): Promise<Record<string, string>> {
  const { events } = await runPeer("versions.py", []);
  return (events[0]?.value ?? {}) as Record<string, string>;
}

/** Version of the installed node-llama-cpp. @throws UsageError "usage/flag" when it is not installed */
export function llamaVersion(): string {
  const folder = join(PEERS, "node_modules", "node-llama-cpp");
  if (!existsSync(folder)) {
    throw new UsageError("usage/flag", `Cannot find node-llama-cpp in "${folder}": no such folder`, {
      hint: `${SETUP}.`,
    });
  }
  return (JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string }).version;
}

/** llama.cpp's threads wait for each other in a loop, and hardly progress beside another busy process. */
const LLAMA_LIMIT_MS = 300_000;

/** Runs one of the scripts of bench/peers/ for llama.cpp. @throws Error when it takes more than five minutes */
export function runLlama(
  script: "llama_decode.mjs" | "llama_texts.mjs",
  task: Readonly<Record<string, Json>>,
): Promise<ChildRun> {
  return runChild(process.execPath, [join(PEERS, script), JSON.stringify(task)], { limitMs: LLAMA_LIMIT_MS });
}

/** The flag for the model. */
export const MODEL = {
  value: DEFAULT_MODEL,
  help: "model: a name, a Hugging Face folder or a .gguf file",
} as const;

/** Finds a model, downloading it if necessary; returns a folder or a .gguf file. */
export async function findModel(name: string, { say }: Pick<BenchContext, "say">): Promise<string> {
  const { path, source } = await resolveModel(name);
  say(`model ${path} (${source})`);
  return path;
}

/** Returns the model as a folder that both sides read: the folder itself, or one in f32, written once from a GGUF file. */
export async function asFolder(modelPath: string, { say }: Pick<BenchContext, "say">): Promise<string> {
  if (!modelPath.endsWith(".gguf")) return modelPath;
  const name = `${basename(modelPath, ".gguf")}-${statSync(modelPath).size}-f32`;
  const folder = join(dirname(modelsFolderOf(process.env)), "bench", name);
  if (existsSync(folder)) return folder;
  say(`writing ${folder} from ${modelPath}`);
  const staging = `${folder}.${process.pid}.tmp`;
  mkdirSync(staging, { recursive: true });
  try {
    await runPeer("gguf_to_folder.py", [modelPath, staging]);
    renameSync(staging, folder);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return folder;
}
