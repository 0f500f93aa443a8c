import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createByteTokenizer } from "../../../test/tiny/byte-tokenizer.ts";
import { makeExample } from "./example.ts";
import { describeExample } from "./show.ts";

const tokenizer = createByteTokenizer();
const source = { file: "x.jsonl", line: 1 };

describe("describeExample()", () => {
  test("gives runs of trained and other text whose pieces join to the whole", () => {
    const ids = tokenizer.encode("ab<|im_end|>c");
    const description = describeExample(
      makeExample(ids, (i) => i === 1 || i === 2, source),
      tokenizer,
    );
    assert.deepEqual(description, {
      pieces: [
        { text: "a", trained: false },
        { text: "b<|im_end|>", trained: true },
        { text: "c", trained: false },
      ],
      length: 4,
      numTrained: 2,
    });
  });

  test("puts a character into the piece of its last token, and shows a broken one", () => {
    const ids = [...tokenizer.encode("aé"), 0xe2];
    assert.deepEqual(
      describeExample(
        makeExample(ids, (i) => i >= 2, source),
        tokenizer,
      ).pieces,
      [
        { text: "a", trained: false },
        { text: "é\uFFFD", trained: true },
      ],
    );
  });
});
