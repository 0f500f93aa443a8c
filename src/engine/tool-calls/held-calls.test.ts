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

const STOP = 257;
/** The first id behind those of the byte tokenizer. */
const FIRST_MARK = 259;
/** What ends texts that are written as they are. */
const MARKS = ["\n</parameter>", "</arg_value>", "<escape>", '<|"|>'];
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

for (const format of TOOL_FORMATS) {
  for (const specials of [[], format.tokens]) {
    const kind = specials.length > 0 ? " of special tokens" : "";
    test(`calls in the form ${format.name}${kind} are read as they are held`, async () => {
      const vocabulary = await vocabularyWith(specials);
      const choices = FUNCTIONS.map(({ name, parameters: own }): ToolChoice => ({
        name,
        parameters: own,
        addArguments: (book) => addParameters(book, name, own),
      }));
      const specialTokens = new Map(specials.map((token, i) => [token, FIRST_MARK + i]));
      const grammar = new TokenGrammar(vocabulary, (book) =>
        book.rule("answer", (start) =>
          format.addCalls(book, start, choices, { isParallel: true, specialTokens }),
        ),
      );
      let numCalls = 0;
      for (let seed = 0; seed < 6; seed++) {
        const text = draw(grammar, vocabulary.size, specials, new Random(seed));
        if (text === null) continue;
        const reader = new CallReader(format, FUNCTIONS, { isForced: true });
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
}
