/** @file Patterns of files: those in use stay JavaScript's, those that search without end are linear or refused. */
import assert from "node:assert/strict";
import test from "node:test";
import { assert as check, property, string } from "fast-check";
import { PRE_TOKENIZERS } from "../format/checkpoint/gguf-pre-tokenizers.ts";
import { isSafePattern } from "./pattern-risk.ts";
import { compileSafe } from "./safe-pattern.ts";

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

test("patterns in use are JavaScript's own", () => {
  for (const source of IN_USE) assert.ok(isSafePattern(source), source);
});

test("patterns that search without end are linear", () => {
  for (const [source, text] of ENDLESS) {
    assert.ok(!isSafePattern(source), source);
    const started = performance.now();
    compileSafe(source, "gu").test(text);
    assert.ok(performance.now() - started < 1000, source);
  }
});

test("those that cannot be made linear are refused, and so are long ones", () => {
  for (const source of ["(a+)+(?!b)", "(a)\\1", "(?=(a+)+b)", "(".repeat(50_000), "x".repeat(100_000), "("]) {
    assert.throws(() => compileSafe(source, "u"), Error, source.slice(0, 20));
  }
});

test("a linear pattern finds, splits and replaces as JavaScript's does", () => {
  for (const [risky, plain] of [
    ["(?:[ab]+)+", "[ab]+"],
    ["(?:\\p{Script=Han}|\\u{1F600}|x)+", "[\\p{Script=Han}\\u{1F600}x]+"],
  ] as const) {
    const [linear, own] = [compileSafe(risky, "gu"), new RegExp(plain, "gu")];
    assert.ok(!(linear instanceof RegExp));
    check(
      property(string({ unit: "grapheme", maxLength: 30 }), (middle) => {
        const text = `ab😀x${middle}你xab`;
        const places = (found: Iterable<{ 0: string; index: number }>) =>
          Array.from(found, (match) => [match[0], match.index]);
        assert.deepEqual(
          places(text.matchAll(linear as unknown as RegExp)),
          places(text.matchAll(own) as Iterable<{ 0: string; index: number }>),
        );
        assert.deepEqual(text.match(linear as unknown as RegExp), text.match(own) && [...text.match(own)!]);
        assert.deepEqual(text.split(linear as unknown as RegExp), text.split(own));
        assert.equal(text.replaceAll(linear as unknown as RegExp, "-"), text.replaceAll(own, "-"));
      }),
      { numRuns: 50 },
    );
  }
});
