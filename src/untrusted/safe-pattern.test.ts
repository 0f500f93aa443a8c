/** @file Patterns of files: those in use stay JavaScript's, those that search without end are linear or refused, squares run out of time. */
import assert from "node:assert/strict";
import test from "node:test";
import { assert as check, property, string } from "fast-check";
import { PRE_TOKENIZERS } from "../format/checkpoint/gguf/gguf-pre-tokenizers.ts";
import { isSafePattern } from "./pattern-risk.ts";
import { compileSafe } from "./safe-pattern.ts";
import { OutOfTime, TimeBudget } from "./time-budget.ts";
import { processorMs } from "../train/power/processor-ms.ts";

/** Of tokenizers in use, and of adapters. */
const IN_USE = [
  ...Object.values(PRE_TOKENIZERS).flatMap(({ steps }) =>
    steps.flatMap((step) => (step as { pattern?: { Regex: string } }).pattern?.Regex ?? []),
  ),
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?:'s|'t)?|\\p{N}{1,3}",
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*",
  "\\d{1,3}(?=(?:\\d{3})*\\b)",
  " ?[^\\s|.,!?…。，、।۔،()]+",
  " {2,}",
  ".*\\.(q|v)_proj",
  "^(model)(?!.*(lm_head|output|emb|wte|shared)).*",
];
/** What each of them does to a text that is made for it. */
const ENDLESS: readonly (readonly [string, string])[] = [
  ["(a+)+$", `${"a".repeat(40)}!`],
  ["(([a-z0-9_.])+)+!", "model.layers.0.self_attn.q_proj".repeat(2)],
  ["(a|a)*b", "a".repeat(40)],
  ["(a*)*b", "a".repeat(40)],
  ["a*a*a*a*a*b", "a".repeat(3000)],
  ["(?:.*x){12}", "x".repeat(11).padEnd(3000, "y")],
  ["a?".repeat(30) + "a".repeat(30), "a".repeat(29)],
  ["(?:a|a)".repeat(30) + "!", "a".repeat(40)],
  ["a{0,64}".repeat(8) + "!", "a".repeat(60)],
];

const budget = new TimeBudget();
/** A pattern as `text.match` and its like are told to take it. */
const compile = (source: string): RegExp => compileSafe(source, "u", budget) as unknown as RegExp;

test("patterns in use are JavaScript's own", () => {
  for (const source of IN_USE) assert.ok(isSafePattern(source), source);
});

test("patterns that search without end are linear", () => {
  for (const [source, text] of ENDLESS) {
    assert.ok(!isSafePattern(source), source);
    const started = processorMs();
    compile(source).test(text);
    assert.ok(processorMs() - started < 1000, source);
  }
});

test("those that cannot be made linear are refused, and so are long ones", () => {
  for (const source of ["(a+)+(?!b)", "(a)\\1", "(?=(a+)+b)", "(".repeat(50_000), "x".repeat(100_000), "("]) {
    assert.throws(() => compile(source), Error, source.slice(0, 20));
  }
});

test("a square of a long text runs out of time, and the next texts have only what they earn", () => {
  for (const [source, length] of [
    ["[^]+\\u0001", 400_000],
    ["(?:[^]+)+\\u0001|x", 20_000],
  ] as const) {
    let ms = 0;
    const slow = new TimeBudget(() => (ms += 500));
    const pattern = compileSafe(source, "u", slow);
    const search = (text: string) => slow.use(text.length, () => text.match(pattern as unknown as RegExp));
    // Three seconds that were saved up, and ten microseconds for each character.
    assert.throws(() => search("x".repeat(length)), OutOfTime, source);
    assert.ok(ms > 3000 + length / 100 && ms <= 4500 + length / 100, `${ms}`);
    ms = 0;
    assert.throws(() => search("x".repeat(20_000)), OutOfTime);
    assert.ok(ms <= 2000, `${ms}`);
    for (let i = 0; i < 1000; i++) search("y".repeat(100));
  }
});

test("a pattern finds, splits and replaces as JavaScript's own does", () => {
  for (const [source, plain] of [
    ["(?:[ab]+)+", "[ab]+"],
    ["(?:\\p{Script=Han}|\\u{1F600}|x)+", "[\\p{Script=Han}\\u{1F600}x]+"],
    ...["[ab]+", "a?", "\\b", "😀|x", "(?<=a)b|$", " ?\\p{L}+|\\s+(?!\\S)"].map((one) => [one, one] as const),
  ] as const) {
    const [pattern, own] = [compile(source), new RegExp(plain, "gu")];
    check(
      property(string({ unit: "grapheme", maxLength: 30 }), (middle) => {
        for (const text of [`ab😀x${middle}你xab`, middle, ""]) {
          const places = (found: Iterable<{ 0: string; index: number }>) =>
            Array.from(found, (match) => [match[0], match.index]);
          assert.deepEqual(places(text.matchAll(pattern)), places(text.matchAll(own)));
          assert.deepEqual(text.match(pattern), text.match(own) && [...text.match(own)!]);
          if (text !== "") assert.deepEqual(text.split(pattern), text.split(own));
          assert.equal(text.replaceAll(pattern, "-"), text.replaceAll(own, "-"));
        }
      }),
      { numRuns: 50 },
    );
  }
  assert.deepEqual("a1b".split(compile("(\\d)")), ["a", "b"], "a group is not a part");
  assert.equal("a1b".replaceAll(compile("\\d"), "$&"), "a$&b", "content is put in as it is");
});
