/** @file A few thousand damaged files, the same in every run: each is read, or refused with a GraftError, soon. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../../src/random.ts";
import { TAKES_ALL } from "../matrix/sampled.ts";
import { FUZZ_FORMATS } from "./formats.ts";
import { describeFailure, runFormat } from "./run-format.ts";

for (const format of FUZZ_FORMATS) {
  // The others: npm run test:matrix.
  const numCases = TAKES_ALL ? format.numCases : Math.ceil(format.numCases / 2);
  test(`${format.name}: ${numCases} damaged cases are read or refused`, async () => {
    const { failures, numRun, numRefused } = await runFormat(format, {
      seed: 1,
      from: 0,
      numCases,
    });
    assert.equal(failures.length, 0, failures.slice(0, 3).map(describeFailure).join("\n"));
    assert.equal(numRun, numCases);
    assert.ok(
      numRefused > 0 && numRefused < numRun,
      `${numRefused} of ${numRun} refused: the corpus is not read`,
    );
  });
}

test("a case is made of its seed and number alone, whatever ran before", async () => {
  for (const format of FUZZ_FORMATS) {
    const target = await format.prepare();
    const make = (index: number): Buffer => Buffer.from(target.make(new Random(5, index)));
    const first = make(3);
    for (let index = 4; index < 30; index++) make(index);
    assert.ok(make(3).equals(first), format.name);
  }
});

test("a fault is told with how to repeat it", async () => {
  const faulty = {
    name: "faulty",
    numCases: 3,
    prepare: () => ({
      make: () => "input",
      read: () => {
        throw new TypeError("not foreseen");
      },
    }),
  };
  const { failures } = await runFormat(faulty, { seed: 7, from: 2, numCases: 1 });
  assert.match(
    describeFailure(failures[0]!),
    /--format faulty --seed 7 --case 2\nTypeError: not foreseen[^]*input: "input"/,
  );
});
