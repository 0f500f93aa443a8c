/** @file `graft serve` as a process that can be killed and started again on the same port and folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";

/** The server collects when it is told to: by itself V8 waits for hundreds of megabytes, which nothing tells from a leak. */
const COLLECT = "SIGUSR2";
const COLLECTS = [
  "--expose-gc",
  "--import",
  `data:text/javascript,process.on(${JSON.stringify(COLLECT)}, () => gc())`,
];
/** Until it has. */
const COLLECT_MS = 500;

const MAIN = new URL("../../bin/graft.js", import.meta.url).pathname;

export class ServerProcess {
  readonly #words: readonly string[];
  #child: ChildProcess | null = null;
  #port = 0;
  url = "";
  /** What it has said on standard error, over all of its lives. */
  errors = "";

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  /** Starts it, and waits until it listens. */
  async start(): Promise<void> {
    const words = ["serve", ...this.#words, "--port", `${this.#port}`, "--threads", "1", "--json"];
    const node = [...COLLECTS, "--max-semi-space-size=4", MAIN];
    const child = spawn(process.execPath, [...node, ...words], { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    // A soak that fails leaves no server behind.
    process.once("exit", () => child.kill("SIGKILL"));
    child.stderr.on("data", (chunk: Buffer) => (this.errors += chunk.toString("utf8")));
    const lines = createInterface(child.stdout);
    const [line] = (await Promise.race([once(lines, "line"), once(child, "exit")])) as [string | number];
    if (typeof line !== "string") throw new Error(`the server has ended: ${this.errors.slice(-2000)}`);
    this.url = (JSON.parse(line) as { url: string }).url;
    this.#port = Number(new URL(this.url).port);
  }

  /** Ends it, with or without a chance to end well; gives its exit status. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null> {
    const child = this.#child!;
    const ended = once(child, "exit") as Promise<[number | null]>;
    child.kill(signal);
    return (await ended)[0];
  }

  /** Resident memory in megabytes after a collection; null where the system does not say. */
  async memory(): Promise<number | null> {
    try {
      this.#child?.kill(COLLECT);
      await wait(COLLECT_MS);
      const status = readFileSync(`/proc/${this.#child?.pid}/status`, "utf8");
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    } catch {
      return null;
    }
  }
}
