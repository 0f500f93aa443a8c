/** @file Whatever an answer that is held to calls says, in each form it reads back as calls whose arguments satisfy the schema. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { byteTokenizerFiles } from "../../../test/tiny/byte-tokenizer.ts";
import { Random } from "../../random.ts";
import { TokenGrammar } from "../grammar/token-grammar.ts";
import { Vocabulary } from "../grammar/vocabulary.ts";
import { CallReader } from "./call-reader.ts";
import { type ToolChoice, addParameters } from "./tool-format.ts";
import { TOOL_FORMATS } from "./tool-formats.ts";

const VOCABULARY = await Vocabulary.create(byteTokenizerFiles(), async () => {});
const STOP = 257;
const MARK = "\n</parameter>";
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

/** What goes on with a mark that bytes end with the beginning of; null: they do not. */
function nextOfMark(bytes: readonly number[]): number | null {
  const text = String.fromCharCode(...bytes.slice(-MARK.length));
  for (let length = MARK.length - 1; length > 0; length--) {
    if (text.endsWith(MARK.slice(0, length))) return MARK.charCodeAt(length);
  }
  return null;
}

/** Draws an answer, at random but for what ends something, which is likely. */
function draw(grammar: TokenGrammar, random: Random): string | null {
  const cursor = grammar.begin();
  const bytes: number[] = [];
  while (!cursor.isDone && bytes.length < 600) {
    const logits = new Float32Array(VOCABULARY.size);
    cursor.restrict(logits, [STOP]);
    const open = [...logits.keys()].filter((id) => logits[id] === 0);
    const ends = open.filter((id) => [0x22, 0x5d, 0x7d, 0x0a, 0x3c, 0x2f, STOP].includes(id));
    const among = ends.length > 0 && random.integer(2) === 0 ? ends : open;
    // Texts that are written as they are end with a mark that chance would not write.
    const next = random.integer(4) > 0 ? nextOfMark(bytes) : null;
    const id = next !== null && open.includes(next) ? next : (among[random.integer(among.length)] as number);
    if (id === STOP) break;
    bytes.push(id);
    cursor.accept(id);
  }
  return bytes.length < 600 ? new TextDecoder().decode(Uint8Array.from(bytes)) : null;
}

for (const format of TOOL_FORMATS) {
  test(`calls in the form ${format.name} are read as they are held`, () => {
    const choices = FUNCTIONS.map(({ name, parameters: own }): ToolChoice => ({
      name,
      parameters: own,
      addArguments: (book) => addParameters(book, name, own),
    }));
    const rules = { isParallel: true, specialTokens: new Map<string, number>() };
    const grammar = new TokenGrammar(VOCABULARY, (book) =>
      book.rule("answer", (start) => format.addCalls(book, start, choices, rules)),
    );
    let numCalls = 0;
    for (let seed = 0; seed < 6; seed++) {
      const text = draw(grammar, new Random(seed));
      if (text === null) continue;
      const reader = new CallReader(format, FUNCTIONS, true);
      const parts = [reader.push(text), reader.end()];
      assert.equal(parts.map(({ content }) => content).join(""), "", text);
      for (const call of parts.flatMap(({ calls }) => calls)) {
        const schema = schemas[call.name as keyof typeof schemas];
        assert.ok(schema.safeParse(JSON.parse(call.arguments)).success, `${text} ${call.arguments}`);
        numCalls++;
      }
    }
    assert.ok(numCalls > 1, `${numCalls}`);
  });
}
