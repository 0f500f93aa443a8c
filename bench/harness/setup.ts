/** @file Installs what graft is compared with: a Python environment and node-llama-cpp, both inside bench/peers/. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { FailedError } from "../../src/errors.ts";
import { PEERS, VENV_PYTHON } from "./peers.ts";

function run(command: string, args: readonly string[]): void {
  process.stderr.write(`${command} ${args.join(" ")}\n`);
  const { status, error } = spawnSync(command, args, { cwd: PEERS, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  throw new FailedError(
    "failed/write",
    `Cannot set up the peers: ${command} ended with ${error?.message ?? status}, expected 0`,
  );
}

/** Makes bench/peers/.venv and bench/peers/node_modules, or updates them. @throws failed/write */
export function setUpPeers(): void {
  const base = process.platform === "win32" ? "python" : "python3";
  if (!existsSync(VENV_PYTHON)) run(base, ["-m", "venv", join(PEERS, ".venv")]);
  run(VENV_PYTHON, ["-m", "pip", "install", "--quiet", "-r", join(PEERS, "requirements.txt")]);
  // Not `npm ci`: it refuses a registry that lacks the packages of other platforms. The lock file still decides.
  run("npm", ["install", "--no-save", "--no-audit", "--no-fund"]);
}
