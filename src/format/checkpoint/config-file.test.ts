import assert from "node:assert/strict";
import test from "node:test";
import { memoryFolder } from "../files/memory-folder.ts";
import { type ConfigFile, formatConfig, readConfig } from "./config-file.ts";

const read = (text: string): Promise<ConfigFile> => readConfig(memoryFolder("m", { "config.json": text }));

test("numbers that only Python writes are read as transformers 5 writes them, and text is as it was", async () => {
  const { settings } = await read(
    String.raw`{"limit": [0.0, Infinity], "low": -Infinity,"none":NaN, "text": "a \"NaN, -Infinity\\", "Infinity": "\\"}`,
  );
  assert.deepEqual(settings, {
    limit: [0, { __float__: "Infinity" }],
    low: { __float__: "-Infinity" },
    none: { __float__: "NaN" },
    text: String.raw`a "NaN, -Infinity\ `.trim(),
    Infinity: "\\",
  });
  for (const text of ['{"a": Infinity2}', '{"a": xNaN}', '{"a": "Infinity', '{"a": +Infinity}'])
    await assert.rejects(read(text), { code: "format/json", message: /"m\/config\.json"/ }, text);
});

test("whole numbers that a file writes as floats are written so again, in lists and parts too", async () => {
  const { settings, floats } = await read(
    '{"a": 7.0, "b": 7, "part": {"c": [1, 2e0], "d": "1.5", "e": [3]}, "f": [{"g": 1}, 2], "i": [Infinity, 0], "h": 1}',
  );
  assert.deepEqual([...floats], ["a", "c", "i"]);
  const list = (...items: readonly string[]): string => `[${items.join(",")}]`;
  assert.equal(
    formatConfig(settings, floats).replace(/\s/g, ""),
    `{"a":7.0,"b":7,"f":${list('{"g":1}', "2")},"h":1,"i":${list('{"__float__":"Infinity"}', "0.0")},"part":{"c":[1.0,2.0],"d":"1.5","e":[3]}}`,
  );
});

test("what is no whole number, or is text that looks like one, stays as it is", () => {
  const config = { a: [0.5, 1e21, -3], b: "x\n  7", c: ["] 7", "7"], d: [], e: 1e21 };
  const floats = new Set(["a", "b", "c", "d", "e"]);
  assert.equal(
    formatConfig(config, floats).replace(/\s/g, ""),
    '{"a":[0.5,1e+21,-3.0],"b":"x\\n7","c":["]7","7"],"d":[],"e":1e+21}',
  );
});

test("many quotes without an end take no longer", async () => {
  await assert.rejects(read(`{"a": "${String.raw`\"`.repeat(200_000)}`), { code: "format/json" });
});
