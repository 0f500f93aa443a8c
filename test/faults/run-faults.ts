/** @file Lets one call after another fail, and looks at what is left. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { GraftError } from "../../src/errors.ts";
import { withDisk } from "../../src/format/files/disk/calls.ts";
import { temporaryFolder } from "../tiny/model.ts";
import { FAULTS, type FaultKind, faultyDisk } from "./faulty-disk.ts";
import { prepareScenarios, SCENARIOS, type Scenario } from "./scenarios.ts";

/** Which of `numCalls` calls fail in turn, counted from 1. */
type Choose = (numCalls: number) => readonly number[];

/** Defines a test for each scenario and kind of fault. */
export async function describeFaults(choose: Choose): Promise<void> {
  const folder = temporaryFolder();
  await prepareScenarios();
  for (const scenario of SCENARIOS) {
    describe(`after any failure while ${scenario.name}`, async () => {
      const own = join(folder, scenario.name.replaceAll(" ", "-"));
      for (const kind of Object.keys(FAULTS) as FaultKind[]) {
        test(`of a ${kind}, nothing half-written has a final name, and the next attempt works`, () =>
          runFaults(scenario, kind, join(own, kind), choose));
      }
    });
  }
}

async function runFaults(scenario: Scenario, kind: FaultKind, folder: string, choose: Choose): Promise<void> {
  const place = (name: string): string => {
    // A folder of its own: what is left beside the output is seen.
    const parent = join(folder, name);
    mkdirSync(parent, { recursive: true });
    const output = join(parent, scenario.name.endsWith("gguf") ? "out.gguf" : "out");
    scenario.prepare?.(output);
    return output;
  };
  const reference = place("reference");
  const counter = faultyDisk(kind, 0);
  await withDisk(counter.disk, () => scenario.act(reference));
  assert.ok(counter.numCalls() > 0, `the seam sees no ${kind}`);
  for (const nth of choose(counter.numCalls())) {
    const output = place(String(nth));
    const faulty = faultyDisk(kind, nth);
    const error = await withDisk(faulty.disk, () => scenario.act(output)).then(
      () => null,
      (error: unknown) => error,
    );
    assert.ok(scenario.varies || faulty.numCalls() >= nth, `${kind} ${nth} never came`);
    const said = `${kind} ${nth}: ${String((error as Error)?.stack)}`;
    assert.ok(error === null || error instanceof GraftError, said);
    try {
      await scenario.check(output, reference);
      assert.deepEqual(
        readdirSync(join(output, "..")).filter((name) => name.startsWith(".")),
        [],
      );
      await scenario.again(output);
      await scenario.check(output, reference);
    } catch (cause) {
      throw new Error(`after ${said}: ${String(cause)}`, { cause });
    }
  }
}
