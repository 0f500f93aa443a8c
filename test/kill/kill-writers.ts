/** @file Kills commands that write while they write, sync or rename: nothing half-written has a final name, and once more works. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { Random } from "../../src/random.ts";
import { type FaultKind, faultyDisk } from "../faults/faulty-disk.ts";
import { prepareScenarios, SCENARIOS, type Scenario } from "../faults/scenarios.ts";
import { temporaryFolder } from "../tiny/model.ts";

const PROGRAM = join(import.meta.dirname, "killed-program.ts");
const CACHE = new URL("../../tools/compile-cache.js", import.meta.url).href;
const KINDS: readonly FaultKind[] = ["write", "sync", "rename"];

/** Defines a test for each command, which is killed as often; moments follow from the seed. */
export async function describeWriterKills(numKills: number, seed: number): Promise<void> {
  const folder = temporaryFolder();
  await prepareScenarios();
  for (const [i, scenario] of SCENARIOS.filter(({ command }) => command !== undefined).entries()) {
    test(`${scenario.name}, killed ${numKills} times while it writes, leaves all or nothing, and works again`, () =>
      killWriter(scenario, join(folder, String(i)), numKills, new Random(seed + i)));
  }
}

async function killWriter(
  scenario: Scenario,
  folder: string,
  numKills: number,
  random: Random,
): Promise<void> {
  const place = (name: string): string => {
    mkdirSync(join(folder, name), { recursive: true });
    return join(folder, name, scenario.name.endsWith("gguf") ? "out.gguf" : "out");
  };
  const reference = place("reference");
  await scenario.act(reference);
  const numCalls = new Map<FaultKind, number>();
  const countCalls = async (kind: FaultKind): Promise<number> => {
    const counter = faultyDisk(kind, 0);
    await withDisk(counter.disk, () => scenario.act(place(kind)));
    return counter.numCalls();
  };
  let numKilled = 0;
  for (let i = 0; i < numKills; i++) {
    const output = place(`killed-${i}`);
    const kind = KINDS[random.integer(KINDS.length)]!;
    if (!numCalls.has(kind)) numCalls.set(kind, await countCalls(kind));
    // Where the number varies, it is rarely less than half of what it was.
    const nth = 1 + random.integer(Math.ceil(numCalls.get(kind)! / (scenario.varies ? 2 : 1)));
    const { words, env } = scenario.command!(output);
    const child = spawn(process.execPath, ["--import", CACHE, PROGRAM, kind, String(nth), ...words], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const [stderr, [status, signal]] = await Promise.all([
      text(child.stderr),
      once(child, "close") as Promise<[number | null, string | null]>,
    ]);
    assert.ok(signal === "SIGKILL" || status === 0, stderr);
    if (signal === "SIGKILL") numKilled++;
    try {
      await scenario.check(output, reference);
      await (signal === "SIGKILL" ? scenario.again(output) : null);
      await scenario.check(output, reference);
      const left = readdirSync(dirname(output)).filter((name) => name.startsWith("."));
      assert.deepEqual(left, [], "what a killed process left is still there");
    } catch (cause) {
      throw new Error(`killed at ${kind} ${nth}: ${String(cause)}`, { cause });
    }
  }
  assert.ok(numKilled > 0, "none was killed");
}
