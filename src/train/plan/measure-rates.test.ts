/** @file Rates are those of a machine that does nothing else, whatever it does while they are measured. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAIN_TARGET } from "../../graph/emitter.ts";
import { workOf } from "../../graph/program-work.ts";
import type { Engine } from "../../runtime/engine.ts";
import { measureRates } from "./measure-rates.ts";

test("runs that had to wait for a processor do not count", async () => {
  let nowMs = 0;
  let numRuns = 0;
  const work: Record<string, number> = {};
  const engine: Engine = {
    name: "of the test",
    threads: 1,
    makeMemory: (sizeBytes) => new ArrayBuffer(sizeBytes),
    target: async () => PLAIN_TARGET,
    async compile(spec) {
      const { float32, int8, movedBytes } = workOf(spec, {});
      work[spec.name] = { "rate-float32": float32, "rate-int8": int8 }[spec.name] ?? movedBytes;
      return {
        spec,
        async run() {
          nowMs += numRuns++ % 5 === 3 ? 10 : 90;
        },
        async release() {},
      };
    },
  };
  const { rates, isDisturbed } = await measureRates(
    engine,
    () => (nowMs += 5),
    () => nowMs,
  );
  assert.equal(isDisturbed, false);
  const beside = await measureRates(
    engine,
    () => (nowMs += 5),
    () => nowMs / 2,
  );
  assert.equal(beside.isDisturbed, true);
  for (const kind of ["float32", "int8", "movedBytes"] as const) {
    const ofRun = work[`rate-${kind}`]! / rates[kind];
    assert.ok(Math.abs(ofRun - 0.015) < 1e-9, `${kind}: ${ofRun} s a run, expected 0.015`);
  }
});
