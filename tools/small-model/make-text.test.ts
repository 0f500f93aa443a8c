import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execPath } from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { smallModelText, transferText } from "./make-text.ts";
import { CAST } from "./words.ts";

const SIZE_BYTES = 200_000;
const makers = { smallModelText, transferText };
const wordsOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/[a-z]+/g));

for (const [name, make] of Object.entries(makers)) {
  const text = make(SIZE_BYTES, 1);

  test(`${name}() gives equal text for equal seeds and other text for another seed`, () => {
    assert.equal(make(SIZE_BYTES, 1), text);
    assert.notEqual(make(SIZE_BYTES, 2), text);
  });

  test(`${name}() reaches the wanted size with less than one document to spare`, () => {
    assert.ok(text.length >= SIZE_BYTES, `${text.length}`);
    assert.ok(text.length < SIZE_BYTES + 4000, `${text.length}`);
    assert.equal(make(0, 1), "");
  });

  test(`${name}() writes printable ASCII and whole documents`, () => {
    assert.match(text, /^[\n -~]*$/);
    assert.ok(text.endsWith("\n\n"));
    assert.doesNotMatch(text, /undefined|\ba [aeiou]|\n\n\n|  | [.,?]/);
  });

  test(`${name}() marks every chat turn as ChatML does`, () => {
    const rest = text.replace(
      /<\|im_start\|>user\n[^\n<]+<\|im_end\|>\n<\|im_start\|>assistant\n[^\n<]+<\|im_end\|>\n/g,
      "",
    );
    assert.ok(rest.length < text.length);
    assert.ok(!rest.includes("<|"), rest.slice(rest.indexOf("<|"), rest.indexOf("<|") + 200));
  });
}

test("smallModelText() uses a closed vocabulary of a few hundred words", () => {
  const numWords = wordsOf(smallModelText(1_500_000, 1)).size;
  assert.ok(numWords > 300 && numWords < 450, `${numWords} words`);
});

test("smallModelText() seldom repeats a document", () => {
  const documents = smallModelText(1_500_000, 1).trimEnd().split("\n\n");
  assert.ok(
    new Set(documents).size > 0.9 * documents.length,
    `${new Set(documents).size}/${documents.length}`,
  );
});

test("smallModelText() answers about the cast as the cast's table says", () => {
  const text = smallModelText(1_500_000, 1);
  const homes = [...text.matchAll(/Where does (\w+) live\?.*\n.*\n\1 lives ([^<]+)\.</g)];
  assert.ok(homes.length > 100, `${homes.length}`);
  for (const [, name, home] of homes) assert.equal(CAST.find((one) => one.name === name)?.home, home);
});

test("transferText() brings 40 to 80 words that the first corpus lacks", () => {
  const known = wordsOf(smallModelText(1_500_000, 1));
  const added = wordsOf(transferText(SIZE_BYTES, 1)).difference(known);
  assert.ok(added.size >= 40 && added.size <= 80, `${added.size}: ${[...added].join(" ")}`);
});

test("the command writes what the function makes and rejects a wrong size", () => {
  const tool = fileURLToPath(new URL("make-text.ts", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "small-model-text-"));
  try {
    const path = join(folder, "out.txt");
    execFileSync(execPath, [tool, path, "--bytes", "5000", "--seed", "3"]);
    assert.equal(readFileSync(path, "utf8"), smallModelText(5000, 3));
    execFileSync(execPath, [tool, path, "--bytes", "5000", "--transfer"]);
    assert.equal(readFileSync(path, "utf8"), transferText(5000, 1));
    assert.throws(
      () => execFileSync(execPath, [tool, path, "--bytes", "many"], { stdio: "pipe" }),
      /usage\/flag|--bytes/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
