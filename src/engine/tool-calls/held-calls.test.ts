/** @file Whatever an answer that is held to calls says, in each form it reads back as calls whose arguments satisfy the schema. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { Random } from "../../random.ts";
import { TokenGrammar } from "../grammar/token-grammar.ts";
import { Vocabulary } from "../grammar/vocabulary.ts";
import { CallReader } from "./call-reader.ts";
import { type ToolFormat, type ToolFunction, toolChoice } from "./tool-format.ts";
import { TOOL_FORMATS } from "./tool-formats.ts";

const STOP = 257;
/** The first id behind those of the byte tokenizer. */
const FIRST_MARK = 259;
/** What ends texts that are written as they are. */
const MARKS = ["\n</parameter>", "</parameter>", "</arg_value>", "<escape>", '<|"|>'];
const parameters = {
  type: "object",
  properties: {
    city: { type: "string" },
    unit: { type: "string", enum: ["C", "F"] },
    days: { type: "integer", minimum: 1, maximum: 9 },
    at: { type: "array", items: { type: "boolean" }, maxItems: 2 },
  },
  required: ["city", "days"],
  additionalProperties: false,
};
const FUNCTIONS = [{ name: "weather", parameters }, { name: "now" }];
const schemas = {
  weather: z.fromJSONSchema(parameters as never),
  now: z.strictObject({}),
};

/** What goes on with marks that bytes end with the beginning of. */
function nextOfMarks(bytes: readonly number[]): number[] {
  return MARKS.flatMap((mark) => {
    const text = String.fromCharCode(...bytes.slice(-mark.length));
    const seen = mark
      .split("")
      .findLastIndex((_, length) => length > 0 && text.endsWith(mark.slice(0, length)));
    return seen < 0 ? [] : [mark.charCodeAt(seen)];
  });
}

/** Bytes as tokens, and some special ones. */
async function vocabularyWith(specials: readonly string[]): Promise<Vocabulary> {
  const files = byteTokenizerFiles();
  const own = files.tokenizer["added_tokens"] as object[];
  const added = specials.map((content, i) => ({ id: FIRST_MARK + i, content, special: true }));
  return await Vocabulary.create(
    { ...files, tokenizer: { ...files.tokenizer, added_tokens: [...own, ...added] } },
    async () => {},
  );
}

/** Draws an answer, at random but for what ends something, which is likely. `specials`: what ids from `FIRST_MARK` on are. */
function draw(
  grammar: TokenGrammar,
  size: number,
  specials: readonly string[],
  random: Random,
): string | null {
  const cursor = grammar.begin();
  const bytes: number[] = [];
  while (!cursor.isDone && bytes.length < 600) {
    const logits = new Float32Array(size);
    cursor.restrict(logits, [STOP]);
    const open = [...logits.keys()].filter((id) => logits[id] === 0);
    const ends = open.filter(
      (id) => id >= FIRST_MARK || [0x22, 0x5d, 0x7d, 0x0a, 0x3c, 0x2f, STOP].includes(id),
    );
    const among = ends.length > 0 && random.integer(2) === 0 ? ends : open;
    // Texts that are written as they are end with a mark that chance would not write.
    const nexts = random.integer(4) > 0 ? nextOfMarks(bytes).filter((byte) => open.includes(byte)) : [];
    const from = nexts.length > 0 ? nexts : among;
    const id = from[random.integer(from.length)]!;
    if (id === STOP) break;
    bytes.push(...(id < FIRST_MARK ? [id] : new TextEncoder().encode(specials[id - FIRST_MARK])));
    cursor.accept(id);
  }
  return bytes.length < 600 ? new TextDecoder().decode(Uint8Array.from(bytes)) : null;
}

/** What an answer is held to that is calls of some functions. */
async function grammarOf(
  format: ToolFormat,
  functions: readonly ToolFunction[],
  specials: readonly string[],
): Promise<{ readonly grammar: TokenGrammar; readonly size: number }> {
  const vocabulary = await vocabularyWith(specials);
  const specialTokens = new Map(specials.map((token, i) => [token, FIRST_MARK + i]));
  const grammar = new TokenGrammar(vocabulary, (book) =>
    book.rule("answer", (start) =>
      format.addCalls(book, start, functions.map(toolChoice), { isParallel: true, specialTokens }),
    ),
  );
  return { grammar, size: vocabulary.size };
}

/** Arguments of the calls in some answers that are drawn. */
async function drawCalls(
  format: ToolFormat,
  functions: readonly ToolFunction[],
  specials: readonly string[],
  numAnswers: number,
): Promise<readonly (readonly [name: string, given: string, text: string])[]> {
  const { grammar, size } = await grammarOf(format, functions, specials);
  return Array.from({ length: numAnswers }, (_, seed) => {
    const text = draw(grammar, size, specials, new Random(seed));
    if (text === null) return [];
    const reader = new CallReader(format, functions, { isForced: true });
    const parts = [reader.push(text), reader.end()];
    assert.equal(parts.map(({ content }) => content).join(""), "", text);
    return parts.flatMap(({ calls }) => calls).map((call) => [call.name, call.arguments, text] as const);
  }).flat();
}

for (const format of TOOL_FORMATS) {
  for (const specials of [[], format.tokens]) {
    const kind = specials.length > 0 ? " of special tokens" : "";
    test(`calls in the form ${format.name}${kind} are read as they are held`, async () => {
      const calls = await drawCalls(format, FUNCTIONS, specials, 6);
      for (const [name, given, text] of calls) {
        const schema = schemas[name as keyof typeof schemas];
        assert.ok(schema.safeParse(JSON.parse(given)).success, `${text} ${given}`);
      }
      assert.ok(calls.length > 1, `${calls.length}`);
    });
  }
}

/** An object with one property that must be there. */
function taking(v: object, rest: object = {}): Readonly<Record<string, unknown>> {
  return { type: "object", properties: { v }, required: ["v"], additionalProperties: false, ...rest };
}

const DIGIT = { type: "integer", minimum: 1, maximum: 9 };
const PLACE = taking(DIGIT);
const NODE = { ...PLACE, properties: { v: DIGIT, next: { $ref: "#/$defs/Node" } } };
const digit = z.int().min(1).max(9);
const place = z.strictObject({ v: digit });
const node = z.strictObject({
  v: digit,
  get next() {
    return node.optional();
  },
});
/** Parameters as generators of schemas write them, and what satisfies them. */
const PARAMETERS: Readonly<Record<string, readonly [object, z.ZodType]>> = {
  "a root that refers": [{ $ref: "#/definitions/Args", definitions: { Args: PLACE } }, place],
  "a root of parts": [{ type: "object", allOf: [{ properties: { v: DIGIT }, required: ["v"] }] }, place],
  "a root of choices": [
    { anyOf: [PLACE, taking({ type: "boolean" })] },
    z.strictObject({ v: digit.or(z.boolean()) }),
  ],
  "a required property without a schema": [
    { type: "object", properties: { v: DIGIT }, required: ["v", "w"] },
    z.strictObject({ v: digit, w: z.json() }),
  ],
  "a model in another": [
    taking({ $ref: "#/$defs/Place" }, { $defs: { Place: PLACE } }),
    z.strictObject({ v: place }),
  ],
  "a list of models": [
    taking(
      { type: "array", items: { $ref: "#/$defs/Place" }, minItems: 1, maxItems: 2 },
      { $defs: { Place: PLACE } },
    ),
    z.strictObject({ v: z.array(place).min(1).max(2) }),
  ],
  "items of their own": [
    taking({ type: "array", prefixItems: [DIGIT, { type: "string" }], minItems: 2, maxItems: 3 }),
    z.strictObject({ v: z.tuple([digit, z.string()]).rest(z.json()) }),
  ],
  "a model that has itself": [
    taking({ $ref: "#/$defs/Node" }, { $defs: { Node: NODE } }),
    z.strictObject({ v: node }),
  ],
  ...Object.fromEntries(
    (
      [
        ["an enum by reference", { $ref: "#/$defs/Unit" }, z.enum(["1", "true"])],
        [
          "a reference beside an enum",
          { $ref: "#/$defs/Unit", type: "string", enum: ["a", "1"] },
          z.literal("1"),
        ],
        [
          "a text or null",
          { anyOf: [{ type: "string", maxLength: 3 }, { type: "null" }] },
          z.string().nullable(),
        ],
        ["a number or null", { type: ["integer", "null"], minimum: 1 }, z.int().min(1).nullable()],
        ["texts and others", { enum: ["1", 7, null] }, z.literal(["1", 7, null])],
        ["a mixed enum of texts", { type: "string", enum: ["red", 7, null] }, z.literal("red")],
        ["an enum and a const", { type: "string", enum: ["red", "blue"], const: "blue" }, z.literal("blue")],
        [
          "texts one by one",
          { type: "string", oneOf: [{ const: "red", title: "Red" }, { const: "é" }] },
          z.literal(["red", "é"]),
        ],
        [
          "texts in choices",
          { type: "string", anyOf: [{ enum: ["red"] }, { enum: ["blue"] }] },
          z.literal(["red", "blue"]),
        ],
        ["a negative number of an enum", { enum: [-1] }, z.literal(-1)],
        ["a true of booleans", { type: "boolean", const: true }, z.literal(true)],
        ["a date", { type: "string", format: "date" }, z.iso.date()],
        ["a pattern", { type: "string", pattern: '^[a-c]{2}"?$' }, z.string().regex(/^[a-c]{2}"?$/)],
        [
          "a pattern and a length",
          { type: "string", pattern: "b<", maxLength: 9 },
          z.string().regex(/b</).max(9),
        ],
        [
          "a text in an object",
          { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
          z.object({ text: z.string() }),
        ],
        ["a length", { type: ["string"], minLength: 2, maxLength: 4 }, z.string().regex(/^.{2,4}$/su)],
      ] as const
    ).map(([kind, v, schema]) => [
      kind,
      [taking(v, { $defs: { Unit: { enum: ["1", "true"] } } }), z.strictObject({ v: schema })],
    ]),
  ),
};

for (const format of TOOL_FORMATS) {
  for (const specials of [[], format.tokens]) {
    const marks = specials.length > 0 ? "special tokens" : "text";
    test(`calls in the form ${format.name} with marks of ${marks} satisfy schemas of all kinds`, async () => {
      for (const [kind, [own, schema]] of Object.entries(PARAMETERS)) {
        const calls = await drawCalls(format, [{ name: "f", parameters: own }], specials, 4);
        for (const [, given, text] of calls) {
          const { success } = schema.safeParse(JSON.parse(given));
          assert.ok(success, `${kind}: ${text} ${given}`);
        }
        assert.ok(calls.length > 0, kind);
      }
    });
  }
}

test("what forms that write strings as they are cannot be held to is refused with its path", async () => {
  const formOf = (name: string): ToolFormat => TOOL_FORMATS.find((format) => format.name === name)!;
  const refused = async (name: string, parameters: object, path: string): Promise<void> => {
    const functions = [{ name: "f", parameters }];
    await assert.rejects(grammarOf(formOf(name), functions, []), { code: "usage/grammar", path }, name);
  };
  for (const name of ["qwen-coder", "glm", "function-gemma", "gemma4"]) {
    await refused(name, taking({ type: "boolean" }, { minProperties: 2 }), "/minProperties");
    await refused(name, taking({ type: "string", not: { enum: ["x"] } }), "/properties/v/not");
    await refused(name, taking({ type: "string", maxLength: 1001 }), "/properties/v");
    await refused(name, taking({ type: "string", pattern: "(?=a)" }), "/properties/v");
  }
  const ending = ["a</parameter>b", "</arg_value>", "<escape>", '<|"|>'];
  for (const [i, name] of ["qwen-coder", "glm", "function-gemma", "gemma4"].entries()) {
    await refused(name, taking({ type: "string", enum: ["a", ending[i]] }), "/properties/v");
  }
  for (const [name, key] of [
    ["qwen-coder", "a>b"],
    ["glm", "</arg_key>"],
    ["gemma4", "a:b"],
    ["liquid", "a b"],
  ] as const) {
    await refused(name, { properties: { [key]: { type: "null" } } }, `/properties/${key.replace("/", "~1")}`);
  }
  await refused("gemma4", taking({ enum: [{ a: 1 }] }), "/properties/v");
  await refused("gemma4", taking({ type: "array", uniqueItems: true }), "/properties/v");
});
