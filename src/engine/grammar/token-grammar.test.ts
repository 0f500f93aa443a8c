/** @file Whatever random tokens a grammar lets through is JSON that satisfies its schema, by another program's judgement. */
import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import {
  array,
  assert as assertProperty,
  boolean,
  constantFrom,
  dictionary,
  letrec,
  nat,
  oneof,
  property,
  record,
  uniqueArray,
} from "fast-check";
import { z } from "zod";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { readRealTokenizer } from "../../../test/golden/real-tokenizers.ts";
import { LongInteger } from "../../data/formats/long-integer.ts";
import { createTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { Random } from "../../random.ts";
import { findCollector } from "../../runtime/memory/find-collector.ts";
import { Automaton, RuleBook, type State } from "./rules/automaton.ts";
import { schemaRule } from "./schema/schema-rules.ts";
import { STRING_FORMATS } from "./schema/string-formats.ts";
import { type GrammarCursor, TokenGrammar } from "./token-grammar.ts";
import { TriggeredGrammar } from "./triggered-grammar.ts";
import { Vocabulary } from "./vocabulary.ts";
import { processorMs } from "../../train/power/processor-ms.ts";

const BYTES = await Vocabulary.create(byteTokenizerFiles(), async () => {});
const STOP = 257;

/** A grammar of JSON that satisfies a schema. */
function ofSchema(vocabulary: Vocabulary, schema: unknown): TokenGrammar {
  return new TokenGrammar(vocabulary, (book) => schemaRule(book, schema));
}

/** Draws ids that a grammar allows, all alike likely but for those that end something, until the text ends. */
function draw(
  grammar: TokenGrammar,
  numIds: number,
  random: Random,
  { limit = 4000, favour = new Set([0x22, 0x5d, 0x7d, STOP]), stop = STOP } = {},
): number[] | null {
  const cursor = grammar.begin();
  const ids: number[] = [];
  for (let n = 0; n < limit; n++) {
    if (cursor.isDone) return ids;
    const logits = new Float32Array(numIds);
    cursor.restrict(logits, [stop]);
    const allowed: number[] = [];
    for (let id = 0; id < numIds; id++) if (logits[id] === 0) allowed.push(id);
    const ending = allowed.filter((id) => favour.has(id));
    const pool = ending.length > 0 && random.uniform() < 0.5 ? ending : allowed;
    const id = pool[random.integer(pool.length)]!;
    if (id === stop) return ids;
    ids.push(id);
    cursor.accept(id);
  }
  return null;
}

/** Whether a text of single bytes can be written, and end there. */
function takes(grammar: TokenGrammar, text: string): boolean {
  const cursor = grammar.begin();
  const may = (id: number): boolean => {
    const logits = new Float32Array(259);
    cursor.restrict(logits, [STOP]);
    return logits[id] === 0;
  };
  for (const character of text) {
    const id = character.charCodeAt(0);
    if (cursor.isDone || !may(id)) return false;
    cursor.accept(id);
  }
  return cursor.isDone || may(STOP);
}

function drawJson(schema: unknown, seed: number): unknown {
  const ids = draw(ofSchema(BYTES, schema), 259, new Random(seed));
  if (!ids) return undefined;
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(ids));
  return JSON.parse(text);
}

const NAMES = constantFrom("a", "ab", "b", 'q"', "ß", "", "a\\");
const LITERALS = constantFrom<unknown>(null, true, 1, 2.5, -3, "a", 'x"y\n', "ü");
const { schema: SCHEMAS } = letrec<{ schema: object; object: object }>((tie) => ({
  object: record(
    {
      properties: dictionary(NAMES, tie("schema"), { maxKeys: 3 }),
      additionalProperties: oneof(boolean(), tie("schema")),
      all: boolean(),
    },
    { requiredKeys: ["properties", "all"] },
  ).map(({ all, ...rest }) => ({
    type: "object",
    ...rest,
    required: Object.keys(rest.properties).filter((_, i) => all || i === 0),
  })),
  schema: oneof(
    { depthSize: "small", withCrossShrink: true },
    constantFrom<object>(
      { type: "null" },
      { type: "boolean" },
      { type: "number" },
      { type: "integer", minimum: -12, maximum: 130 },
      { type: "integer", exclusiveMinimum: 7 },
      { type: "number", minimum: -3, exclusiveMaximum: 12 },
      { type: "number", exclusiveMinimum: 0, maximum: 1 },
      { type: "string" },
      { type: "string", minLength: 2, maxLength: 5 },
      { type: "string", pattern: "^[A-Zß-ü]{2,3}-\\d+$" },
      { type: "integer", multipleOf: 7, minimum: -40, maximum: 130 },
      { type: "number", multipleOf: 0.25, exclusiveMinimum: -1 },
      { type: "string", pattern: "^[a-z]+$", minLength: 3, maxLength: 5 },
      { type: "string", pattern: "x|ß", minLength: 2 },
      { type: "string", pattern: '(cat|\\w"\\s)+|^x.y' },
      { type: "string", pattern: "[^a-z\\\\]$" },
      { type: ["string", "null"], maxLength: 3 },
    ),
    LITERALS.map((value) => ({ const: value })),
    uniqueArray(LITERALS, { minLength: 1, maxLength: 4 }).map((values) => ({ enum: values })),
    tie("object"),
    record({ items: tie("schema"), minItems: nat(2), more: nat(3) }).map(({ items, minItems, more }) => ({
      type: "array",
      items,
      minItems,
      maxItems: minItems + more,
    })),
    record({
      first: array(tie("schema"), { minLength: 1, maxLength: 3 }),
      items: tie("schema"),
      more: nat(2),
    }).map(({ first, items, more }) => ({
      type: "array",
      prefixItems: first,
      items: more === 0 ? false : items,
      minItems: first.length,
      maxItems: first.length + more,
    })),
    record({ values: uniqueArray(LITERALS, { minLength: 1, maxLength: 5 }), more: nat(3) }).map(
      ({ values, more }) => ({
        type: "array",
        items: { anyOf: [{ enum: values }, { type: "boolean" }] },
        uniqueItems: true,
        minItems: values.length - 1,
        maxItems: values.length - 1 + more,
      }),
    ),
    array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
  ),
}));

test("random texts by random schemas are JSON that satisfies them", () => {
  let numWhole = 0;
  assertProperty(
    property(SCHEMAS, nat(), (schema, seed) => {
      const value = drawJson(schema, seed);
      if (value === undefined) return;
      numWhole++;
      const judged = z.fromJSONSchema(schema as never).safeParse(value);
      assert.ok(
        judged.success,
        `${JSON.stringify(value)} by ${JSON.stringify(schema)}: ${judged.error?.message}`,
      );
    }),
    { numRuns: 100, seed: 5 },
  );
  assert.ok(numWhole > 80);
});

test("parts that must hold together, references and choices apart are held", () => {
  const $defs = {
    tree: {
      type: "object",
      properties: { v: { type: "integer" }, next: { anyOf: [{ $ref: "#/$defs/tree" }, { type: "null" }] } },
      required: ["v", "next"],
      additionalProperties: false,
    },
  };
  const schemas: readonly object[] = [
    { $defs, $ref: "#/$defs/tree" },
    {
      allOf: [
        { type: "object", properties: { a: { type: "number" } }, required: ["a"] },
        {
          properties: { a: { type: "integer", minimum: 3, maximum: 9 }, b: { type: "string" } },
          required: ["b"],
        },
      ],
    },
    {
      // As programs write it that make schemas of their types, with notes of their own.
      discriminator: { propertyName: "kind" },
      "x-order": ["kind"],
      example: { kind: "x" },
      oneOf: ["x", "y"].map((kind) => ({
        type: "object",
        properties: { kind: { const: kind }, [kind]: { type: "boolean" } },
        required: ["kind", kind],
      })),
    },
    {
      oneOf: [
        { type: "integer", maximum: 5 },
        { type: "number", exclusiveMinimum: 5, maximum: 9 },
      ],
    },
    { oneOf: [1, 3].map((least) => ({ type: "string", minLength: least, maxLength: least + 1 })) },
    {
      oneOf: [0, 2].map((least) => ({
        type: "array",
        minItems: least,
        maxItems: least + 1,
        items: { const: 1 },
      })),
    },
    { type: "object", properties: { a: {}, b: {} }, anyOf: [{ required: ["a"] }, { required: ["b"] }] },
    { type: "object", additionalProperties: { type: "integer" }, required: ["n"] },
  ];
  for (const schema of schemas) {
    const judge = z.fromJSONSchema(schema as never);
    for (let seed = 0; seed < 8; seed++) {
      const value = drawJson(schema, seed);
      assert.notEqual(value, undefined);
      assert.ok(judge.safeParse(value).success, `${JSON.stringify(value)} by ${JSON.stringify(schema)}`);
    }
  }
});

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, object | boolean>>;
  readonly patternProperties?: Readonly<Record<string, object | boolean>>;
  readonly additionalProperties?: object | boolean;
}

/** Whether schemas that all hold allow a property, and one of them speaks of it or none of any. */
function allows(schemas: readonly ObjectSchema[], name: string, value: unknown): boolean {
  const said = schemas.map(({ properties = {}, patternProperties = {}, additionalProperties }) => {
    const own = Object.hasOwn(properties, name) ? [properties[name]] : [];
    const found = Object.keys(patternProperties).filter((pattern) => new RegExp(pattern, "u").test(name));
    const all = [...own, ...found.map((pattern) => patternProperties[pattern])];
    return all.length === 0 && additionalProperties !== undefined ? [additionalProperties] : all;
  });
  const isOpen = schemas.every((schema) =>
    Object.values(schema).every(
      (each) => typeof each === "object" && Object.keys(each as object).length === 0,
    ),
  );
  const isSpoken =
    isOpen ||
    said.some((each) => each.length > 0) ||
    schemas.some(({ properties = {} }) => Object.hasOwn(properties, name));
  return (
    isSpoken && said.flat().every((schema) => z.fromJSONSchema(schema as never).safeParse(value).success)
  );
}

const OF_VALUES = constantFrom<object | boolean>(
  { type: "integer" },
  { enum: [1, true] },
  { type: "boolean" },
  true,
  false,
);
const OBJECTS = record(
  {
    properties: dictionary(constantFrom("a", "ab", "b", ""), OF_VALUES, { maxKeys: 2 }),
    patternProperties: dictionary(constantFrom("^a", "b", "c$", "^[^b]*$", "", "^.{2,3}$"), OF_VALUES, {
      maxKeys: 3,
    }),
    additionalProperties: OF_VALUES,
  },
  { requiredKeys: [] },
);

test("names are apart by patterns: each property is held to all that is said of its name, and to nothing else", () => {
  const names = ["", "a", "ab", "b", "c", "abc", "aca", "xyz", "long"];
  assertProperty(
    property(array(OBJECTS, { minLength: 1, maxLength: 2 }), nat(), (schemas, seed) => {
      const schema = { type: "object", allOf: schemas };
      const grammar = ofSchema(BYTES, schema);
      for (const name of names) {
        for (const value of [1, 3, true]) {
          const text = JSON.stringify({ [name]: value });
          assert.equal(
            takes(grammar, text),
            allows(schemas, name, value),
            `${text} by ${JSON.stringify(schema)}`,
          );
        }
      }
      const drawn = drawJson(schema, seed) ?? {};
      for (const [name, value] of Object.entries(drawn))
        assert.ok(
          allows(schemas, name, value),
          `${name}: ${JSON.stringify(value)} by ${JSON.stringify(schema)}`,
        );
    }),
    { numRuns: 30, seed: 3 },
  );
});

test("items of few values differ from each other where they must", () => {
  const texts = [
    "[]",
    "[1]",
    "[1,1]",
    "[1,2]",
    "[2,1]",
    "[1,2,3]",
    "[3,2,1]",
    "[1,2,1]",
    "[2,true]",
    "[true,2]",
  ];
  const held = (schema: object): string[] => {
    const grammar = ofSchema(BYTES, { type: "array", uniqueItems: true, ...schema });
    return texts.filter((text) => takes(grammar, text));
  };
  const items = { enum: [1, 2, 1.0] };
  assert.deepEqual(held({ items }), ["[]", "[1]", "[1,2]", "[2,1]"]);
  assert.deepEqual(held({ items: { enum: [1, 2, 3] }, minItems: 2, maxItems: 2 }), ["[1,2]", "[2,1]"]);
  assert.deepEqual(
    held({ prefixItems: [{ enum: [2, 1] }], items: { anyOf: [{ const: 1 }, { type: "boolean" }] } }),
    ["[]", "[1]", "[2,1]", "[2,true]"],
  );
  assert.deepEqual(held({ items: {}, maxItems: 1 }), ["[]", "[1]"]);
  assert.deepEqual(held({ items, uniqueItems: false, minItems: 3 }), ["[1,2,1]"]);
});

test("numbers with a fraction lie between bounds that have one, and every such number can be written", () => {
  const bounds = [-1.25, -0.5, -0.000001, 0, 0.25, 0.3, 0.57, 1, 1.05, 12.999999];
  const grids = bounds.flatMap((low, i) => bounds.slice(i + 1).map((high) => [low, high] as const));
  for (const [low, high] of grids) {
    for (const isOpen of [false, true]) {
      // Nothing of six digits is between.
      if (isOpen && high - low < 1.5e-6) continue;
      const schema = isOpen
        ? { type: "number", exclusiveMinimum: low, exclusiveMaximum: high }
        : { type: "number", minimum: low, maximum: high };
      const grammar = ofSchema(BYTES, schema);
      const near = [low, high].flatMap((bound) => [-1, 0, 1].map((step) => bound + step * 1e-6));
      const asked = [...near, (low + high) / 2, ...bounds, 0.299999, 0.3, 1.0001, -1.2];
      for (const value of asked.map((each) => Number(each.toFixed(6)))) {
        if (Math.abs(value) === 0 || /e/.test(`${value}`)) continue;
        const isIn = isOpen ? value > low && value < high : value >= low && value <= high;
        assert.equal(takes(grammar, `${value}`), isIn, `${value} by ${JSON.stringify(schema)}`);
      }
    }
  }
  const small = { type: "number", minimum: 0.5, maximum: 0.75 };
  for (let seed = 0; seed < 20; seed++) {
    const value = drawJson(small, seed) as number;
    assert.ok(value >= 0.5 && value <= 0.75, `${value}`);
  }
  assert.equal(drawJson({ enum: [0.25, 0.5, 3], minimum: 0.5, maximum: 0.75 }, 1), 0.5);
});

test("multiples of a step are written, and nothing else", () => {
  const steps = [1, 3, 12, 0.5, 0.01, 0.75];
  const values = Array.from({ length: 400 }, (_, i) => (i - 150) / 4).concat([
    0.01, 0.57, -3.33, 1.005, 12e6,
  ]);
  for (const step of steps) {
    for (const bounds of [
      {},
      { minimum: -3, exclusiveMaximum: 12 },
      { exclusiveMinimum: 0.5, maximum: 36 },
    ]) {
      const digits = `${step}`.split(".")[1]?.length ?? 0;
      for (const type of ["integer", "number"]) {
        const grammar = ofSchema(BYTES, { type, multipleOf: step, ...bounds });
        const {
          minimum = -Infinity,
          exclusiveMinimum = -Infinity,
          ...high
        } = bounds as Record<string, number>;
        const { maximum = Infinity, exclusiveMaximum = Infinity } = high;
        for (const value of values) {
          const isStep = Number.isInteger(Math.round(value * 1000) / Math.round(step * 1000));
          const isIn =
            value >= minimum && value > exclusiveMinimum && value <= maximum && value < exclusiveMaximum;
          const text = type === "integer" ? `${value}` : value.toFixed(digits);
          if (Number(text) !== value && isStep) continue;
          const isHeld = isStep && isIn && (type === "number" || Number.isInteger(value));
          if (Number(text) === value)
            assert.equal(takes(grammar, text), isHeld, `${text} of ${step} as ${type}`);
        }
      }
    }
  }
  assert.deepEqual(drawJson({ enum: [4, 6, 7], multipleOf: 2, allOf: [{ multipleOf: 3 }] }, 1), 6);
});

test("a string is held to all that is said of it", () => {
  const schema = {
    type: "string",
    minLength: 2,
    maxLength: 4,
    allOf: [{ pattern: "^[a-ü]+$" }, { pattern: "b$" }],
  };
  const grammar = ofSchema(BYTES, schema);
  const texts = ["b", "ab", "aaab", "aaaab", "aa", "Ab"];
  assert.deepEqual(
    texts.map((text) => takes(grammar, `"${text}"`)),
    [false, true, true, false, false, false],
  );
  assert.equal(
    drawJson({ type: "string", pattern: "^.*$", minLength: 3, maxLength: 1e9 }, 1),
    drawJson({ type: "string", pattern: "^.*$", minLength: 3, maxLength: 1e8 }, 1),
  );
});

test("patterns are JavaScript's: pairs of surrogates, named groups and classes of Unicode are read", () => {
  const cases: readonly [string, string][] = [
    ["^\\uD83D\\uDE00$", "\u{1f600}"],
    ["^[\\uD83D\\uDE00-\\u{1F602}]$", "\u{1f601}"],
    ["^(?<year>\\d{4})-(?:\\d\\d)$", "2024-05"],
    ["^\\p{Lu}\\p{L}+\\P{L}$", "Öl1"],
    ["^[\\p{Script=Greek}\\d]{2}$", "λ2"],
  ];
  for (const [pattern, text] of cases) {
    const grammar = ofSchema(BYTES, { type: "string", pattern });
    const bytes = String.fromCharCode(...new TextEncoder().encode(JSON.stringify(text)));
    assert.deepEqual([takes(grammar, bytes), takes(grammar, '"??"')], [true, false], pattern);
    assert.match(drawJson({ type: "string", pattern }, 1) as string, new RegExp(pattern, "u"));
  }
  for (const [pattern, found] of [
    ["^(x|^y)z$", '"(x|^y)", which is not supported'],
    ["^(?!a)b$", '"(?!", which looks ahead or behind'],
    ["^(a", "an unclosed group"],
    ["^\\p{Nope}$", 'the character class "Nope", which Unicode does not have'],
  ] as const) {
    assert.throws(
      () => ofSchema(BYTES, { type: "string", pattern }),
      ({ message }: Error) => message.endsWith(`has a pattern with ${found}`),
    );
  }
});

test("tuples of both drafts, names out of a list, and what says nothing of a value are read", () => {
  const tuple = [{ type: "integer" }, { enum: ["a", "b"] }];
  const closed = ofSchema(BYTES, { type: "array", prefixItems: tuple, items: false });
  const texts = ["[]", "[1]", '[1,"a"]', '[1,"a",1]', '["a"]', '[1,"c"]'];
  const held = (grammar: TokenGrammar): boolean[] => texts.map((text) => takes(grammar, text));
  assert.deepEqual(held(closed), [true, true, true, false, false, false]);
  const whole = { items: tuple, additionalItems: { type: "integer" }, minItems: 2 };
  assert.deepEqual(held(ofSchema(BYTES, { type: "array", ...whole })), [
    false,
    false,
    true,
    true,
    false,
    false,
  ]);
  const both = {
    type: "array",
    allOf: [{ prefixItems: [{ const: 1 }] }, { items: { type: "integer" }, maxItems: 2 }],
  };
  assert.deepEqual(
    ["[1]", "[2]", "[1,3]", '[1,"a"]'].map((text) => takes(ofSchema(BYTES, both), text)),
    [true, false, true, false],
  );
  const $defs = { names: { enum: ["x", "y"] } };
  const named = {
    $defs,
    type: "object",
    propertyNames: { $ref: "#/$defs/names" },
    additionalProperties: { const: 1 },
  };
  assert.deepEqual(
    ['{"x":1}', '{"x":1,"y":1}', '{"z":1}', '{"x":2}'].map((text) => takes(ofSchema(BYTES, named), text)),
    [true, true, false, false],
  );
  const silent = {
    type: "object",
    propertyNames: { type: "string" },
    additionalProperties: { contentEncoding: "base64" },
  };
  assert.ok(takes(ofSchema(BYTES, silent), '{"z":1}'));
});

test("strings of a format are what it says, wherever no pattern or length says what they are", () => {
  const isDate = (text: string): boolean => {
    const date = new Date(`${text}T00:00Z`);
    return !Number.isNaN(date.getTime()) && date.toJSON().startsWith(text);
  };
  const isTime = (text: string): boolean => !Number.isNaN(Date.parse(`2000-01-01T${text}`));
  const isShort = (text: string): boolean => text.length > 0 && text.length < 254;
  const judges: Readonly<Record<string, (text: string) => boolean>> = {
    date: isDate,
    time: isTime,
    "date-time": (text) => isDate(text.slice(0, 10)) && text[10] === "T" && isTime(text.slice(11)),
    duration: (text) => z.iso.duration().safeParse(text).success,
    email: (text) => isShort(text) && z.email().safeParse(text).success,
    hostname: (text) => isShort(text) && z.hostname().safeParse(text).success,
    ipv4: (text) => isIPv4(text),
    ipv6: (text) => isIPv6(text),
    uuid: (text) => z.uuid().safeParse(text).success,
  };
  for (const [format, judge] of Object.entries(judges)) {
    for (let seed = 0; seed < 60; seed++) {
      const text = drawJson({ type: "string", format }, seed);
      assert.ok(typeof text === "string" && judge(text), `${String(text)} as ${format}`);
    }
  }
  assert.deepEqual(Object.keys(judges).toSorted(), Object.keys(STRING_FORMATS).toSorted());
  const grammar = ofSchema(BYTES, { type: "string", format: "date" });
  assert.deepEqual(
    ["2024-02-29", "2000-02-29", "1900-02-29", "2023-02-29", "2023-04-31", "2023-12-31"].map((date) =>
      takes(grammar, `"${date}"`),
    ),
    [true, true, false, false, false, true],
  );
  assert.equal(drawJson({ type: "string", format: "date", pattern: "^x$" }, 1), "x");
  for (const own of [z.iso.duration(), z.hostname()]) {
    const text = drawJson(z.toJSONSchema(own), 1);
    assert.ok(own.safeParse(text).success, String(text));
  }
  assert.equal(String(drawJson({ format: "date", minLength: 2, maxLength: 2, type: "string" }, 1)).length, 2);
  assert.equal(typeof drawJson({ type: "string", format: "color" }, 1), "string");
});

test("literals are written as they are", () => {
  const literal = { a: ["b", 1.5, null], ü: "\u2028\n" };
  assert.deepEqual(drawJson({ const: literal }, 1), literal);
  assert.deepEqual(drawJson({ enum: [[], literal], type: "object" }, 1), literal);
});

test("what cannot be held is refused with its path, soon", () => {
  const deep = (levels: number): object => (levels === 0 ? {} : { items: deep(levels - 1) });
  // Any of them may be found in a name beside any others.
  const manyPatterns = (num: number): object =>
    Object.fromEntries(Array.from({ length: num }, (_, i) => [String.fromCharCode(0x61 + i), {}]));
  const cases: readonly (readonly [unknown, string])[] = [
    [{ type: "object", properties: { a: { not: { type: "null" } } } }, "/properties/a/not"],
    [{ type: "array", uniqueItems: true }, "/uniqueItems"],
    [{ allOf: [{ uniqueItems: true }], type: "array", items: { enum: [{}] } }, "/allOf/0/uniqueItems"],
    [{ type: "array", items: { enum: [...Array(13).keys()] }, uniqueItems: true }, "/uniqueItems"],
    [{ type: "array", items: { type: "boolean" }, uniqueItems: true, minItems: 3 }, ""],
    [{ uniqueItems: 1 }, "/uniqueItems"],
    [{ properties: { "a/b": { enum: [1, { c: Infinity }] } } }, "/properties/a~1b/enum/1/c"],
    [{ const: new LongInteger(`1${"0".repeat(400)}`) }, "/const"],
    [{ type: "object", patternProperties: { "(?=a)b": {} } }, "/patternProperties/(?=a)b"],
    [{ type: "object", patternProperties: manyPatterns(17) }, "/patternProperties/q"],
    [{ type: "object", patternProperties: manyPatterns(16) }, ""],
    [{ type: "object", patternProperties: { a: false }, required: ["ba"] }, ""],
    [{ type: "strng" }, "/type"],
    [{ $ref: "#" }, ""],
    [{ $ref: "http://example.org/schema" }, "/$ref"],
    [{ oneOf: [{ type: "string" }, { type: ["string", "null"] }] }, "/oneOf/1"],
    [
      {
        oneOf: [
          { type: "number", maximum: 5 },
          { type: "integer", minimum: 5 },
        ],
      },
      "/oneOf/1",
    ],
    [{ type: "string", pattern: "(?=a)b" }, ""],
    [{ type: "string", pattern: "(((a{900}){900}){900}){900}" }, ""],
    [{ type: "string", allOf: [{ pattern: "^a$" }, { pattern: "^b$" }] }, ""],
    [{ type: "number", multipleOf: 0 }, "/multipleOf"],
    [{ type: "integer", multipleOf: 1009 }, "/multipleOf"],
    [{ type: "object", propertyNames: { pattern: "^a" } }, "/propertyNames"],
    [{ type: "object", propertyNames: { $ref: "#" } }, ""],
    [{ type: "integer", minimum: 3, maximum: 2 }, ""],
    [{ type: "object", properties: { a: { type: "integer", minimum: 1e18 } } }, "/properties/a"],
    [{ type: "object", properties: { a: { maximum: -1e15 } } }, "/properties/a"],
    [{ items: { type: "number", exclusiveMinimum: 0, maximum: 1e-7 } }, "/items"],
    [{ type: "object", required: ["a"], additionalProperties: false }, ""],
    [deep(100), ""],
    [{ enum: Array.from({ length: 20_000 }, (_, i) => `value ${i}`) }, ""],
    [{ allOf: Array.from({ length: 12 }, () => ({ anyOf: [{ minLength: 1 }, { maxLength: 2 }] })) }, ""],
  ];
  const start = processorMs();
  for (const [schema, path] of cases) {
    assert.throws(
      () => ofSchema(BYTES, schema),
      (error: { code: string; path?: string }) =>
        error.code === "usage/grammar" && (error.path === undefined || error.path === path),
      JSON.stringify(schema).slice(0, 80),
    );
  }
  assert.ok(processorMs() - start < 5000);
});

test("a pattern with states without number is given up, not waited for", () => {
  const schema = { type: "string", pattern: "^([ab]*a[ab]{200})+$" };
  const grammar = ofSchema(BYTES, schema);
  const start = processorMs();
  try {
    draw(grammar, 259, new Random(1), { limit: 200 });
  } catch (error) {
    assert.equal((error as { code: string }).code, "usage/grammar");
  }
  assert.ok(processorMs() - start < 5000);
});

test("texts go on however many states others have made, which are let go of", async () => {
  const grammar = ofSchema(BYTES, { type: "string", pattern: "^[ab]*a[ab]{200}$" });
  const random = new Random(1);
  const cursor = grammar.begin();
  cursor.accept(0x22);
  for (let n = 0; n < 4000; n++) cursor.accept(0x61 + random.integer(2));
  const logits = new Float32Array(259);
  cursor.restrict(logits, [STOP]);
  assert.deepEqual(
    [...logits.keys()].filter((id) => logits[id] === 0 && id !== 0x22),
    [0x61, 0x62],
  );

  const book = new RuleBook();
  const automaton = new Automaton(book, schemaRule(book, { type: "string", pattern: "^[ab]*a[ab]{200}$" }));
  const start = automaton.start!;
  const goOn = (from: State, num: number): State => {
    let state = from;
    for (let n = 0; n < num; n++) {
      automaton.beginToken();
      state = automaton.next(state, 0x61 + random.integer(2))!;
    }
    return state;
  };
  const textStart = automaton.next(start, 0x22)!;
  const early = ((): WeakRef<State> => new WeakRef(goOn(textStart, 300)))();
  goOn(textStart, 3000);
  await new Promise((resolve) => setImmediate(resolve));
  findCollector()!();
  assert.equal(early.deref(), undefined);
  assert.ok(automaton.follow(start, `"${"ba".repeat(150)}"`));
});

for (const [name, stop] of [
  ["gpt2", 50_256],
  ["llama2", 2],
] as const) {
  test(`tokens of ${name} are those that its tokenizer decodes, and masks take milliseconds`, async () => {
    const files = readRealTokenizer(name);
    let numPauses = 0;
    const vocabulary = await Vocabulary.create(files, async () => void numPauses++);
    // Read, told apart and put into the tree, each in slices.
    assert.ok(numPauses > (3 * vocabulary.size) / 2048, `${numPauses}`);
    const tokenizer = createTokenizer(files);
    const schema = {
      type: "object",
      properties: {
        name: { type: "string", maxLength: 60 },
        tags: { type: "array", items: { type: "string" } },
      },
      required: ["name", "tags"],
    };
    const grammar = ofSchema(vocabulary, schema);
    let numTokens = 0;
    const start = processorMs();
    for (let seed = 0; seed < 3; seed++) {
      const favour = new Set(['"', "}", "]", '"}', '"]'].map((token) => tokenizer.tokenToId(token) ?? stop));
      const ids = draw(grammar, vocabulary.size, new Random(seed), { limit: 100, favour, stop });
      if (!ids) continue;
      numTokens += ids.length;
      const value: unknown = JSON.parse(tokenizer.decode(ids));
      assert.ok(z.fromJSONSchema(schema as never).safeParse(value).success, JSON.stringify(value));
    }
    assert.ok(numTokens > 20);
    assert.ok((processorMs() - start) / numTokens < 50);
  });
}

test("a text is free until it begins a call, and held to it from there on", () => {
  const inner = ofSchema(BYTES, {
    type: "object",
    properties: { a: { const: 1 } },
    required: ["a"],
  });
  const begins = ["[CALL]"];
  const ids = (text: string): number[] => [...new TextEncoder().encode(text)];
  const isOpen = (cursor: GrammarCursor, id: number): boolean => {
    const logits = new Float32Array(BYTES.size);
    cursor.restrict(logits, [STOP]);
    return logits[id] === 0;
  };
  for (const mayGoOn of [true, false]) {
    const cursor = new TriggeredGrammar(inner, { begins, isWhole: false, mayGoOn }).begin();
    for (const id of ids("x [CA [CALL")) cursor.accept(id);
    assert.ok(isOpen(cursor, STOP) && isOpen(cursor, 0x78));
    cursor.accept(0x5d);
    assert.ok(!isOpen(cursor, STOP) && !isOpen(cursor, 0x78) && isOpen(cursor, 0x7b));
    for (const id of ids('{"a":1}')) {
      assert.ok(isOpen(cursor, id));
      cursor.accept(id);
    }
    assert.equal(cursor.isDone, !mayGoOn);
    if (mayGoOn) assert.ok(isOpen(cursor, STOP) && isOpen(cursor, 0x78));
  }
  const whole = new TriggeredGrammar(inner, { begins, isWhole: true, mayGoOn: true }).begin();
  for (const id of ids("x [CALL]")) whole.accept(id);
  assert.ok(isOpen(whole, 0x78));
});

test("a vocabulary without the characters of a grammar is the caller's to mend", async () => {
  const files = byteTokenizerFiles();
  const model = files.tokenizer["model"] as { vocab: Record<string, number> };
  const { "{": _, ...vocab } = model.vocab;
  const lacking = { ...files, tokenizer: { ...files.tokenizer, model: { ...model, vocab } } };
  const vocabulary = await Vocabulary.create(lacking, async () => {});
  const cursor = ofSchema(vocabulary, { type: "object" }).begin();
  assert.throws(() => cursor.restrict(new Float32Array(259), [STOP]), {
    name: "UsageError",
    code: "engine/grammar",
  });
});
