/**
 * @file A server under everything at once, for minutes: `npm run soak -- --minutes 20 [--adapters 50] [--output FILE]`.
 *
 * Each adapter has a greedy answer of its own, known beforehand: an answer that is another's is an answer mixed up. Two jobs
 * train meanwhile and others are cancelled, clients go away, are slow, do not read and send nonsense, the server is killed
 * with -9 and started again, and its disk runs full where a small one can be mounted. What it has seen is printed as JSON; status 1 when something is wrong.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Random } from "../../src/random.ts";
import { writeTinyChats, writeTinyModel } from "../tiny/model.ts";
import { type Tally, chat, dawdle, disturb, newTally, vanish } from "./clients.ts";
import { writeDistinctAdapters } from "./distinct-adapters.ts";
import { type SoakJob, cancelJob, checkJob, submitJob } from "./soak-jobs.ts";
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

const root = mkdtempSync(join(tmpdir(), "graft-soak-"));
const state = join(root, "state");
mkdirSync(state);

/** Mounts a small disk as the state folder, where that may be done. */
function mountSmall(): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256m", "tmpfs", state], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

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

async function soak(): Promise<Record<string, unknown>> {
  const hasSmallDisk = mountSmall();
  const model = await writeTinyModel(join(root, "tiny"));
  const chats = writeTinyChats(join(root, "chats.jsonl"), 64);
  const names = await writeDistinctAdapters(model, join(root, "adapters"), numAdapters);
  const words = ["--model", model, "--chat-template", "chatml", "--state", state, "--client-timeout", "5"];
  const flags = names.flatMap((name) => ["--adapter", `${name}=${join(root, "adapters", name)}`]);
  const limits = [
    "--max-waiting",
    "64",
    "--max-adapters",
    "16",
    "--cache-memory",
    "8MB",
    "--max-body",
    "1MB",
  ];
  const server = new ServerProcess([...words, ...flags, ...limits]);
  await server.start();
  const tally: Tally = newTally();
  const expected = new Map<string, string>();
  for (const name of [...names, "tiny"]) expected.set(name, await chat(server.url, name, false));
  if (new Set(expected.values()).size <= numAdapters) tally.faults.push("two models say the same");
  tally.diskFull = hasSmallDisk ? await fillDisk(server.url) : null;
  const jobs: SoakJob[] = [];
  const steps = Math.max(40, Math.round(Number(values.minutes) * 60));
  for (const method of ["lora", "road"]) jobs.push(await submitJob(server.url, chats, { method, steps }));

  const startedMs = performance.now();
  const isOver = (): boolean => performance.now() - startedMs > lastsMs;
  let isDown = false;
  let samples: [number, number][] = [];
  const loop = async (seed: number, act: (random: Random) => Promise<void>): Promise<void> => {
    for (const random = new Random(seed); !isOver();) {
      try {
        await act(random);
      } catch (error) {
        // A killed server cuts answers off: they are asked for again.
        if (isDown || wasCut(error)) tally.numCut++;
        else tally.faults.push(String(error));
        await wait(200);
      }
    }
  };
  const pick = (random: Random): string => [...expected.keys()][random.integer(expected.size)] as string;
  const talk = async (random: Random): Promise<void> => {
    const name = pick(random);
    const beganMs = performance.now();
    const text = await chat(server.url, name, random.integer(2) === 0, tally);
    if (text === "") return;
    tally.latencies.push(performance.now() - beganMs);
    if (text !== expected.get(name)) tally.faults.push(`"${name}" said another's text: ${text}`);
  };
  const slow = async (random: Random): Promise<void> => {
    const name = pick(random);
    const text = await dawdle(server.url, name, random, tally);
    if (text !== "" && text !== expected.get(name))
      tally.faults.push(`"${name}" said another's text: ${text}`);
  };
  const killer = async (): Promise<void> => {
    const numKills = Number(values.kills);
    for (let i = 0; i < numKills; i++) {
      // In the first half: memory is watched in the second.
      await wait(lastsMs / 2 / numKills);
      isDown = true;
      await server.end("SIGKILL");
      await server.start();
      isDown = false;
      samples = [];
      tally.numKills++;
    }
  };
  const watcher = async (): Promise<void> => {
    for (; !isOver(); await wait(3000)) {
      const megabytes = isDown ? null : await server.memory();
      if (megabytes !== null && !isDown) samples.push([(performance.now() - startedMs) / 60_000, megabytes]);
    }
  };
  await Promise.all([
    ...Array.from({ length: NUM_CHATS }, (_, i) => loop(i, talk)),
    loop(100, (random) => vanish(server.url, pick(random), random, tally)),
    loop(101, (random) => vanish(server.url, pick(random), random, tally)),
    loop(102, (random) => disturb(server.url, random, tally)),
    loop(103, slow),
    loop(104, (random) => cancelJob(server.url, chats, random, tally)),
    killer(),
    watcher(),
  ]);
  for (const job of jobs)
    tally.faults.push(...(await checkJob(server.url, job, { root, model, chats, state })));
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const held = Number(/graft_cache_pages_held (\d+)/.exec(metrics)?.[1]);
  if (held !== 0) tally.faults.push(`${held} pages are still held`);
  const status = await server.end("SIGTERM");
  if (status !== 0) tally.faults.push(`the server ended with status ${status}`);
  if (/\n\s+at /.test(server.errors)) tally.faults.push(`the server told: ${server.errors.slice(-2000)}`);
  // Warm only after a while.
  const slope = slopeOf(samples.slice(Math.floor(samples.length / 3)));
  if (slope !== null && slope > MAX_SLOPE) tally.faults.push(`memory grows by ${slope} MB a minute`);
  const { latencies, ...counts } = tally;
  return {
    minutes: Number(values.minutes),
    adapters: numAdapters,
    distinct_answers: new Set(expected.values()).size,
    answers: latencies.length,
    latency_ms: percentiles(latencies),
    /** One a minute since the last start. */
    memory_mb: samples.filter((_, i) => i % 20 === 0).map(([, megabytes]) => Math.round(megabytes)),
    memory_slope_mb_per_minute: slope,
    ...counts,
  };
}

function wasCut(error: unknown): boolean {
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}

/** Uploads while there is no room: an error object; and afterwards, when there is again. */
async function fillDisk(url: string): Promise<string> {
  const filler = join(state, "filler");
  const upload = async (): Promise<[number, string]> => {
    const form = new FormData();
    form.set("purpose", "fine-tune");
    form.set("file", new File([`{"text": "${"ka ".repeat(100_000)}"}\n`], "x.jsonl"));
    const answer = await fetch(`${url}/v1/files`, { method: "POST", body: form });
    return [answer.status, await answer.text()];
  };
  try {
    for (let i = 0; ; i++) writeFileSync(`${filler}${i}`, Buffer.alloc(1 << 20));
  } catch {
    // Full.
  }
  const [status, text] = await upload();
  const { error } = JSON.parse(text) as { error?: { code: string } };
  for (let i = 0; i < 300; i++) rmSync(`${filler}${i}`, { force: true });
  const [after] = await upload();
  if (status !== 503 || error?.code !== "failed/write" || after !== 200) {
    throw new Error(`a full disk: ${status} ${text}, then ${after}`);
  }
  return error.code;
}

try {
  const result = await soak();
  const text = `${JSON.stringify(result, null, 2)}\n`;
  process.stdout.write(text);
  if (values.output !== undefined) writeFileSync(values.output, text);
  if ((result["faults"] as string[]).length > 0) process.exitCode = 1;
} finally {
  const isMounted = readFileSync("/proc/mounts", "utf8").includes(state);
  if (isMounted) execFileSync("umount", ["-l", state]);
  rmSync(root, { recursive: true, force: true });
}
