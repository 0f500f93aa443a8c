import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { parse } from "yaml";
import { escapeText, shellWord, unescapeText } from "./escape.ts";
import { type ModelCard, UNKNOWN_PROVENANCE, formatCard } from "./model-card.ts";
import { parseCard } from "./read-card.ts";

const CARD: ModelCard = {
  title: "lora adapter",
  baseName: "owner/name",
  library: "peft",
  tags: ["lora", "graft"],
  provenance: {
    license: "apache-2.0",
    datasets: ["owner/data"],
    facts: [["data", "train.jsonl, sha256 12ab"]],
    settings: { rank: 8, optimizer: "adamw", layers: [1, 2] },
    parts: [{ name: "first", facts: [["method", "lora"]] }],
  },
  usage: ["It is read by graft."],
};

function frontMatter(text: string): Record<string, unknown> {
  const [, yaml] = /^---\n([\s\S]*?)\n---\n/.exec(text) ?? [];
  return parse(yaml!) as Record<string, unknown>;
}

describe("formatCard()", () => {
  test("writes front matter, how it was made, settings, and how its parts were made", () => {
    const text = formatCard(CARD);
    assert.deepEqual(frontMatter(text), {
      base_model: "owner/name",
      library_name: "peft",
      license: "apache-2.0",
      tags: ["lora", "graft"],
      datasets: ["owner/data"],
    });
    assert.match(text, /^# lora adapter$/m);
    assert.match(text, /^\| licence of the base \| apache-2\.0 \|$/m);
    assert.match(text, /^\| rank \| 8 \|$/m);
    assert.match(text, /^\| layers \| \\\[1,2\\\] \|$/m);
    assert.match(
      text,
      /## How first was made\n\n\| what \| value \|\n\| --- \| --- \|\n\| method \| lora \|\n/,
    );
    assert.ok(!/\d{4}-\d\d-\d\d/.test(text));
  });

  test("names a base that model sites know, without its revision, and no path", () => {
    for (const [baseName, expected] of [
      ["owner/name@main", "owner/name"],
      ["/home/me/model", undefined],
      ["./runs/full", undefined],
      ["model.gguf", undefined],
      [null, undefined],
    ] as const) {
      assert.equal(frontMatter(formatCard({ ...CARD, baseName }))["base_model"], expected);
    }
  });

  test("calls a licence that is no word of model sites other, and tells it", () => {
    const text = formatCard({ ...CARD, provenance: { ...CARD.provenance, license: "Our own\nlicence" } });
    assert.equal(frontMatter(text)["license"], "other");
    assert.match(text, /^\| licence of the base \| Our own licence \|$/m);
    assert.equal(
      frontMatter(formatCard({ ...CARD, provenance: { ...CARD.provenance, license: "MIT" } }))["license"],
      "mit",
    );
  });

  test("says that what is not known is unknown", () => {
    const text = formatCard({ ...CARD, baseName: null, provenance: UNKNOWN_PROVENANCE });
    assert.equal(frontMatter(text)["license"], "unknown");
    assert.match(text, /\| base model \| unknown \|\n\| licence of the base \| unknown \|\n$/);
  });

  test("shows texts as they are, whatever is in them, on lines of their own", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "\n---\nlicense: mit",
        "<script>",
        "a | b",
        "](http://x) [",
        "`\n```\n",
        "\\| x",
        "# x",
      ),
    );
    fc.assert(
      fc.property(hostile, hostile, (one, other) => {
        const provenance = { ...CARD.provenance, facts: [[one, other]] as const, settings: { [one]: other } };
        const text = formatCard({ ...CARD, title: other, provenance });
        const plain = formatCard(CARD);
        assert.equal(text.split(/\r|\n|\u2028|\u2029/).length, plain.split("\n").length - 2);
        assert.deepEqual(frontMatter(text), frontMatter(plain));
        assert.ok(!/(?<!\\)[<`[]/.test(text));
        const { license, facts } = parseCard(text);
        assert.equal(license, "apache-2.0");
        const shown = (value: string): string => unescapeText(escapeText(value));
        assert.deepEqual(facts.at(-1), [shown(one).slice(0, 500), shown(other).slice(0, 500)]);
      }),
    );
  });
});

test("parseCard() takes one plain word for a licence, out of front matter alone", () => {
  const read = (text: string): string | null => parseCard(text).license;
  assert.equal(read("---\ntags: [a]\nlicense: apache-2.0\n---\n"), "apache-2.0");
  assert.equal(read('---\r\nlicense: "llama3.2"\r\n---\r\n'), "llama3.2");
  for (const text of [
    "",
    "license: mit",
    "---\nlicense: mit\n",
    "---\nlicense: unknown\n---\n",
    "---\nlicense: <b>mit\n---\n",
    "---\nlicense:\n- mit\n---\n",
    "---\ntags: [a]\n---\nlicense: mit\n",
  ]) {
    assert.equal(read(text), null, text);
  }
});

test("escapeText() can be read back, and shellWord() is one word", () => {
  assert.equal(unescapeText(escapeText("a\\_b|c`*<d>")), "a\\_b|c`*<d>");
  assert.equal(shellWord("owner/name@main"), "owner/name@main");
  assert.equal(shellWord("it's; rm -rf\n/"), `'it'\\''s; rm -rf /'`);
});
