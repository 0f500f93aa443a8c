/**
 * @file A server under everything at once, for minutes: `npm run soak -- --minutes 20 [--adapters 50] [--output FILE]`.
 *
 * Each adapter has a greedy answer of its own, known beforehand: an answer that is another's is an answer mixed up. Two jobs
 * train meanwhile and others are cancelled, clients go away, are slow, do not read and send nonsense, the server is killed
 * with -9 and started again, and its disk runs full where a small one can be mounted. What it has seen is printed as JSON; status 1 when something is wrong.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Random } from "../../src/random.ts";
import { writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { type Tally, chat, dawdle, disturb, newTally, vanish } from "./clients.ts";
import { writeDistinctAdapters } from "./distinct-adapters.ts";
import { type SoakJob, cancelJob, checkJob, submitJob } from "./soak-jobs.ts";
import { fillDisk, mountSmall, unmountSmall } from "./small-disk.ts";
import { ServerProcess } from "./server-process.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "20" },
    adapters: { type: "string", default: "50" },
    kills: { type: "string", default: "3" },
    output: { type: "string" },
  },
});
const lastsMs = Number(values.minutes) * 60_000;
const numAdapters = Number(values.adapters);
const NUM_CHATS = 8;
/** Megabytes a minute that memory may grow once it is warm, on top of what sampling it scatters. */
const MAX_SLOPE = 5;
/** Not more often: what the server gives back it has to make again. */
const SAMPLES_A_MINUTE = 6;
const SAMPLE_MS = 60_000 / SAMPLES_A_MINUTE;

const root = mkdtempSync(join(tmpdir(), "graft-soak-"));
const state = join(root, "state");
mkdirSync(state);

/** Least-squares slope of memory in megabytes a minute; null: too few samples. */
function slopeOf(samples: readonly (readonly [minutes: number, megabytes: number])[]): number | null {
  if (samples.length < 10) return null;
  const mean = (of: 0 | 1): number => samples.reduce((sum, each) => sum + each[of], 0) / samples.length;
  const [x, y] = [mean(0), mean(1)];
  const over = samples.reduce((sum, each) => sum + (each[0] - x) * (each[1] - y), 0);
  return over / samples.reduce((sum, each) => sum + (each[0] - x) ** 2, 0);
}

function percentiles(latencies: readonly number[]): Record<string, number> {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

/** Starts a server of a tiny model with adapters, whose limits are met often. */
async function startServer(model: string, adapters: readonly string[]): Promise<ServerProcess> {
  const words = ["--model", model, "--chat-template", "chatml", "--state", state, "--client-timeout", "5"];
  const flags = adapters.flatMap((name) => ["--adapter", `${name}=${join(root, "adapters", name)}`]);
  const limits = "--max-waiting 64 --max-adapters 16 --cache-memory 8MB --max-body 1MB".split(" ");
  const server = new ServerProcess([...words, ...flags, ...limits]);
  await server.start();
  return server;
}

/** Clients, kills and measurements of one server. */
class Soak {
  readonly tally: Tally = newTally();
  /** Memory since the last start. */
  samples: [minutes: number, megabytes: number][] = [];
  readonly #server: ServerProcess;
  /** What each model answers. */
  readonly #expected: ReadonlyMap<string, string>;
  readonly #chats: string;
  readonly #startedMs = performance.now();
  /** Grows at a kill, and when the next server listens. */
  #numTurns = 0;

  constructor(server: ServerProcess, expected: ReadonlyMap<string, string>, chats: string) {
    this.#server = server;
    this.#expected = expected;
    this.#chats = chats;
  }

  get #isDown(): boolean {
    return this.#numTurns % 2 === 1;
  }

  get #isOver(): boolean {
    return performance.now() - this.#startedMs > lastsMs;
  }

  /** Lets everything happen at once, until the time is over. */
  async run(): Promise<void> {
    const { url } = this.#server;
    const { tally } = this;
    await Promise.all([
      ...Array.from({ length: NUM_CHATS }, (_, i) => this.#loop(i, (random) => this.#talk(random))),
      this.#loop(100, (random) => vanish(url, this.#pick(random), random, tally)),
      this.#loop(101, (random) => vanish(url, this.#pick(random), random, tally)),
      this.#loop(102, (random) => disturb(url, random, tally)),
      this.#loop(103, (random) => this.#dawdle(random)),
      this.#loop(104, (random) => cancelJob(url, this.#chats, random, tally)),
      this.#kill(),
      this.#watch(),
    ]);
  }

  async #loop(seed: number, act: (random: Random) => Promise<void>): Promise<void> {
    for (const random = new Random(seed); !this.#isOver;) {
      const before = this.#numTurns;
      try {
        await act(random);
      } catch (error) {
        // A killed server cuts answers off, which are asked for again; one that lives never does.
        if (this.#isDown || (this.#numTurns > before && wasCut(error))) this.tally.numCut++;
        else this.tally.faults.push(told(error));
        await wait(200);
      }
    }
  }

  #pick(random: Random): string {
    return [...this.#expected.keys()][random.integer(this.#expected.size)]!;
  }

  async #talk(random: Random): Promise<void> {
    const name = this.#pick(random);
    const beganMs = performance.now();
    const text = await chat(this.#server.url, name, random.integer(2) === 0, this.tally);
    if (text !== "") this.tally.latencies.push(performance.now() - beganMs);
    this.#judge(name, text);
  }

  async #dawdle(random: Random): Promise<void> {
    const name = this.#pick(random);
    this.#judge(name, await dawdle(this.#server.url, name, random, this.tally));
  }

  #judge(name: string, text: string): void {
    if (text !== "" && text !== this.#expected.get(name))
      this.tally.faults.push(`"${name}" said another's text: ${text}`);
  }

  async #kill(): Promise<void> {
    const numKills = Number(values.kills);
    for (let i = 0; i < numKills; i++) {
      // In the first half: memory is watched in the second.
      await wait(lastsMs / 2 / numKills);
      this.#numTurns++;
      await this.#server.end("SIGKILL");
      await this.#server.start();
      this.#numTurns++;
      this.samples = [];
      this.tally.numKills++;
    }
  }

  async #watch(): Promise<void> {
    for (; !this.#isOver; await wait(SAMPLE_MS)) {
      const megabytes = this.#isDown ? null : await this.#server.memory();
      if (megabytes !== null && !this.#isDown)
        this.samples.push([(performance.now() - this.#startedMs) / 60_000, megabytes]);
    }
  }
}

async function soak(): Promise<Record<string, unknown>> {
  const hasSmallDisk = mountSmall(state);
  const model = await writeTinyModel(join(root, "tiny"));
  const chats = writeTinyChats(join(root, "chats.jsonl"), 64);
  const names = await writeDistinctAdapters(model, join(root, "adapters"), numAdapters);
  const server = await startServer(model, names);
  const { url } = server;
  const expected = new Map<string, string>();
  for (const name of [...names, "tiny"]) expected.set(name, await chat(url, name, false));
  const diskFull = hasSmallDisk ? await fillDisk(url, state) : null;
  const jobs: SoakJob[] = [];
  const steps = Math.max(40, Math.round(Number(values.minutes) * 60));
  for (const method of ["lora", "road"]) jobs.push(await submitJob(url, chats, { method, steps }));
  const running = new Soak(server, expected, chats);
  const { tally } = running;
  const numAnswers = new Set(expected.values()).size;
  if (numAnswers <= numAdapters) tally.faults.push("two models say the same");
  await running.run();
  for (const job of jobs) tally.faults.push(...(await checkJob(url, job, { root, model, chats, state })));
  tally.faults.push(...(await endServer(server)));
  const { samples } = running;
  // Warm only after a while.
  const slope = slopeOf(samples.slice(Math.floor(samples.length / 3)));
  if (slope !== null && slope > MAX_SLOPE) tally.faults.push(`memory grows by ${slope} MB a minute`);
  const { latencies, ...counts } = tally;
  return {
    minutes: Number(values.minutes),
    adapters: numAdapters,
    distinct_answers: numAnswers,
    answers: latencies.length,
    latency_ms: percentiles(latencies),
    /** One a minute since the last start. */
    memory_mb: samples
      .filter((_, i) => i % SAMPLES_A_MINUTE === 0)
      .map(([, megabytes]) => Math.round(megabytes)),
    memory_slope_mb_per_minute: slope,
    ...counts,
    /** Code of the answer while the disk was full; null: no small disk could be mounted. */
    diskFull,
  };
}

/** Stops the server; what is wrong with it by then. */
async function endServer(server: ServerProcess): Promise<string[]> {
  const faults: string[] = [];
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const held = Number(/graft_cache_pages_held (\d+)/.exec(metrics)?.[1]);
  if (held !== 0) faults.push(`${held} pages are still held`);
  const status = await server.end("SIGTERM");
  if (status !== 0) faults.push(`the server ended with status ${status}`);
  if (/\n\s+at /.test(server.errors)) faults.push(`the server told: ${server.errors.slice(-2000)}`);
  return faults;
}

function wasCut(error: unknown): boolean {
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}

/** A failure of `fetch` says why only in its cause. */
function told(error: unknown): string {
  const isCaused = error instanceof Error && error.cause instanceof Error;
  return isCaused ? `${error.message}: ${(error.cause as Error).message}` : String(error);
}

try {
  const result = await soak();
  const text = `${JSON.stringify(result, null, 2)}\n`;
  process.stdout.write(text);
  if (values.output !== undefined) writeFileSync(values.output, text);
  if ((result["faults"] as string[]).length > 0) process.exitCode = 1;
} finally {
  unmountSmall(state);
  rmSync(root, { recursive: true, force: true });
}
