/** @file `graft serve` as a process that can be killed and started again on the same port and folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type Interface, createInterface } from "node:readline";
import { ownStart } from "../process/own-start.ts";

/** Tells the server to give back what it does not use. */
const GIVE_BACK = "SIGUSR2";
const GIVES_BACK = ["--expose-gc", "--import", new URL("give-back.ts", import.meta.url).href];

const MAIN = new URL("../../bin/graft.js", import.meta.url).pathname;

export class ServerProcess {
  readonly #words: readonly string[];
  #child: ChildProcess | null = null;
  /** What it says on standard output. */
  #lines: Interface | null = null;
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
    const { env, flags } = ownStart();
    const child = spawn(process.execPath, [...GIVES_BACK, ...flags, MAIN, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    // A soak that fails leaves no server behind.
    process.once("exit", () => child.kill("SIGKILL"));
    child.stderr.on("data", (chunk: Buffer) => (this.errors += chunk.toString("utf8")));
    const lines = createInterface(child.stdout);
    this.#lines = lines;
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

  /** Resident memory in megabytes that it uses; null where it ends meanwhile, or the system does not say. */
  async memory(): Promise<number | null> {
    const over = new AbortController();
    try {
      const [child, lines] = [this.#child!, this.#lines!];
      const { signal } = over;
      const givenBack = Promise.race([once(lines, "line", { signal }), once(lines, "close", { signal })]);
      child.kill(GIVE_BACK);
      await givenBack;
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    } catch {
      return null;
    } finally {
      over.abort();
    }
  }
}
