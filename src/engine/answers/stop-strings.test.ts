import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { StopStrings } from "./stop-strings.ts";

test("however a text is cut into pieces, it ends before the stop string that comes first", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 6 }), stops, (pieces, strings) => {
      const stopper = new StopStrings(strings);
      let [text, isStopped] = ["", false];
      for (const piece of pieces) {
        if (isStopped) break;
        const settled = stopper.push(piece);
        text += settled.text;
        isStopped = settled.isStopped;
      }
      if (!isStopped) text += stopper.end();
      const whole = pieces.join("");
      // The end of the first that is complete decides, as tokens come one after another.
      const ends = strings.flatMap((stop) => {
        const place = whole.indexOf(stop);
        return place < 0 ? [] : [{ place, end: place + stop.length }];
      });
      assert.equal(isStopped, ends.length > 0);
      if (ends.length === 0) assert.equal(text, whole);
      else assert.ok(ends.some(({ place }) => text === whole.slice(0, place)));
    }),
  );
});

test("what cannot be the beginning of a stop string is not held back", () => {
  const stopper = new StopStrings(["\n\n", "END"]);
  assert.deepEqual(stopper.push("one\n"), { text: "one", isStopped: false });
  assert.deepEqual(stopper.push("two E"), { text: "\ntwo ", isStopped: false });
  assert.deepEqual(stopper.push("ND, more"), { text: "", isStopped: true });
});
