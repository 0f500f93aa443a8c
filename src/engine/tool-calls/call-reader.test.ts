/** @file Calls are read out of answers of each form however these come in pieces; what is none stays text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { processorMs } from "../../train/power/processor-ms.ts";
import { CallReader } from "./call-reader.ts";
import { TOOL_FORMATS, findToolFormat } from "./tool-formats.ts";
import type { ToolCall, ToolFunction } from "./tool-format.ts";

const CITY = { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } } };
const FUNCTIONS = [{ name: "weather", parameters: CITY }, { name: "time" }];

function read(
  format: string,
  text: string,
  size: number,
  functions: readonly ToolFunction[] = FUNCTIONS,
): { content: string; calls: ToolCall[] } {
  const found = TOOL_FORMATS.find(({ name }) => name === format);
  assert.ok(found);
  const reader = new CallReader(found, functions);
  const parts = [];
  for (let i = 0; i < text.length; i += size) parts.push(reader.push(text.slice(i, i + size)));
  parts.push(reader.end());
  return {
    content: parts.map(({ content }) => content).join(""),
    calls: parts.flatMap(({ calls }) => calls),
  };
}

const PARIS = { name: "weather", arguments: '{"city":"Paris"}' };
const HERE = { name: "time", arguments: "{}" };
const ODD = { name: "weather", arguments: '{"city":"</tool_call>"}' };

const CASES: readonly (readonly [string, string, string, readonly ToolCall[]])[] = [
  ["hermes", "No call, 1 < 2 <tool", "No call, 1 < 2 <tool", []],
  ["hermes", '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>', "", [PARIS]],
  [
    "hermes",
    'Let me see.\n\n<tool_call>{"name":"weather","arguments":{"city":"Paris"}}</tool_call>\n<tool_call>{"name":"time"}</tool_call>\n',
    "Let me see.",
    [PARIS, HERE],
  ],
  ["hermes", '<tool_call>{"name":"weather","arguments":{"city":"</tool_call>"}}</tool_call>', "", [ODD]],
  ["hermes", '<tool_call>{"name":"weather","arguments":{"city":"Paris"}}', "", [PARIS]],
  ["hermes", '<tool_call>{"name":"wea', '<tool_call>{"name":"wea', []],
  ["hermes", '<tool_call>{"name":"time"}</tool_call>\n<tool_c', "", [HERE]],
  ["hermes", '<tool_call>{"name":"time"}</tool_call>\n<tool_call>{"na', "", [HERE]],
  ["hermes", '<tool_call>{"name":"time"}</tool_call>\nDone <', "\nDone", [HERE]],
  [
    "hermes",
    '<tool_call>{"name":"nobody"}</tool_call> ok',
    '<tool_call>{"name":"nobody"}</tool_call> ok',
    [],
  ],
  [
    "mistral-list",
    '[TOOL_CALLS] [{"name":"weather","arguments":{"city":"Paris"}}, {"name":"time"}]',
    "",
    [PARIS, HERE],
  ],
  ["mistral-list", "[1, 2] are numbers", "[1, 2] are numbers", []],
  [
    "mistral-args",
    'So:[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]time[CALL_ID]a1[ARGS]{}',
    "So:",
    [PARIS, HERE],
  ],
  ["mistral-args", '[TOOL_CALLS]weather[ARGS]{"city": "</tool_call>"}', "", [ODD]],
  [
    "mistral-args",
    '[TOOL_CALLS]time[ARGS]{"a": {"b\\\\": "}\\"}"}, "c": [{}]}[TOOL_CALLS]time[ARGS]{}}',
    "}",
    [{ name: "time", arguments: '{"a":{"b\\\\":"}\\"}"},"c":[{}]}' }, HERE],
  ],
  ["mistral-args", '[TOOL_CALLS]weather[ARGS]{"city": "Pa', '[TOOL_CALLS]weather[ARGS]{"city": "Pa', []],
  [
    "qwen-coder",
    "So\n<tool_call>\n<function=weather>\n<parameter=city>\n12\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=time>\n</function>\n</tool_call>",
    "So",
    [{ name: "weather", arguments: '{"city":"12","days":3}' }, HERE],
  ],
  [
    "qwen-coder",
    "<tool_call>\n<function=weather>\n<parameter=city>\na < b\n\n</parameter>\n</function>\n</tool_call>",
    "",
    [{ name: "weather", arguments: '{"city":"a < b\\n"}' }],
  ],
  ["qwen-coder", "<tool_call> is a mark", "<tool_call> is a mark", []],
  [
    "qwen-coder",
    "<tool_call>\n<function=time>\n<parameter=a>\nTrue\n</parameter>\n<parameter=b>\nnull\n</parameter>\n<parameter=c>\nNone\n</parameter>\n<parameter=d>\nfalse\n</parameter>\n<parameter=e>\nmaybe\n</parameter>\n</function>\n</tool_call>",
    "",
    [{ name: "time", arguments: '{"a":true,"b":null,"c":null,"d":false,"e":"maybe"}' }],
  ],
  [
    "hermes",
    '<tool_call>{"name":"time","arguments":{"id":12345678901234567890}}</tool_call>',
    "",
    [{ name: "time", arguments: '{"id":12345678901234567890}' }],
  ],
  [
    "glm",
    "So\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>\n<tool_call>time\n</tool_call>",
    "So",
    [PARIS, HERE],
  ],
  [
    "glm",
    "<tool_call>weather<arg_key>city</arg_key><arg_value>12</arg_value><arg_key>days</arg_key><arg_value>3</arg_value></tool_call>",
    "",
    [{ name: "weather", arguments: '{"city":"12","days":3}' }],
  ],
  [
    "glm",
    "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value></tool_call></arg_value>\n</tool_call>",
    "",
    [ODD],
  ],
  ["glm", "<tool_call>weather\n<arg_key>city</arg_key>", "<tool_call>weather\n<arg_key>city</arg_key>", []],
  [
    "deepseek",
    'So<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "So",
    [PARIS, HERE],
  ],
  [
    "deepseek-v3.1",
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city": "</tool_call>"}<｜tool▁call▁end｜><｜tool▁call▁begin｜>time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "",
    [ODD, HERE],
  ],
  ["deepseek-v3.1", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>time<｜tool▁sep｜>{}", "", [HERE]],
  [
    "nemotron",
    'So\n<TOOLCALL>[{"name": "weather", "arguments": {"city": "Paris"}}, {"name": "time", "arguments": {}}]</TOOLCALL>',
    "So",
    [PARIS, HERE],
  ],
  ["nemotron", '<TOOLCALL>[{"name": "wea', '<TOOLCALL>[{"name": "wea', []],
  [
    "function-gemma",
    "<start_function_call>call:weather{city:<escape>Paris<escape>}<end_function_call><start_function_call>call:time{}<end_function_call>",
    "",
    [PARIS, HERE],
  ],
  [
    "function-gemma",
    "<start_function_call>call:time{a:[1,<escape>}, {<escape>,{b:true}],c:{},d:-2.5,e:None,f:[]}<end_function_call>",
    "",
    [{ name: "time", arguments: '{"a":[1,"}, {",{"b":true}],"c":{},"d":-2.5,"e":null,"f":[]}' }],
  ],
  [
    "function-gemma",
    `<start_function_call>call:time{a:${"[".repeat(100)}`,
    `<start_function_call>call:time{a:${"[".repeat(100)}`,
    [],
  ],
  [
    "liquid",
    'So\n<|tool_call_start|>[weather(city="Paris"), time()]<|tool_call_end|>It is late.',
    "SoIt is late.",
    [PARIS, HERE],
  ],
  ["liquid", '<|tool_call_start|>[weather(city="</tool_call>")]<|tool_call_end|>', "", [ODD]],
  ["liquid", "<|tool_call_start|>[time(", "<|tool_call_start|>[time(", []],
  [
    "liquid",
    "<|tool_call_start|>[time(1)]<|tool_call_end|>",
    "<|tool_call_start|>[time(1)]<|tool_call_end|>",
    [],
  ],
  [
    "liquid",
    `<|tool_call_start|>[time(a='it\\'s "1"\\n\\u00e9\\x41\\d', b = [1, -2.5e3, (True, None,)], c={'d': false, "e": {}}, id=12345678901234567890, f="<|tool_call_end|>")]<|tool_call_end|>`,
    "",
    [
      {
        name: "time",
        arguments:
          '{"a":"it\'s \\"1\\"\\néA\\\\d","b":[1,-2.5e3,[true,null]],"c":{"d":false,"e":{}},"id":12345678901234567890,"f":"<|tool_call_end|>"}',
      },
    ],
  ],
  [
    "liquid",
    '<|tool_call_start|>[{"name": "weather", "arguments": {"city": "Paris"}}]<|tool_call_end|>',
    "",
    [PARIS],
  ],
  [
    "liquid",
    `<|tool_call_start|>[time(a=${"[".repeat(100)}`,
    `<|tool_call_start|>[time(a=${"[".repeat(100)}`,
    [],
  ],
  ["gemma4", '<|tool_call>call:weather{city:<|"|>Paris<|"|>}<tool_call|>', "", [PARIS]],
  [
    "harmony",
    'Let me see.<|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>',
    "Let me see.",
    [PARIS],
  ],
  ["harmony", '<|channel|>commentary to=functions.weather<|message|>{"city":"</tool_call>"}', "", [ODD]],
  ["harmony", " to=functions.time<|channel|>commentary json<|message|>{}<|call|>", "", [HERE]],
  [
    "harmony",
    "<|channel|>commentary to=functions.time <|constr",
    "<|channel|>commentary to=functions.time <|constr",
    [],
  ],
  ["llama3", '{"name": "weather", "parameters": {"city": "Paris"}}', "", [PARIS]],
  [
    "llama3",
    '<|python_tag|>{"name":"weather","parameters":{"city":"Paris"}}; {"name":"time"}',
    "",
    [PARIS, HERE],
  ],
  ["llama3", 'As {"name": "time"} says', 'As {"name": "time"} says', []],
  ["llama3", '{"answer": 1}', '{"answer": 1}', []],
];

test("calls are read however the answer comes in pieces", () => {
  for (const [format, text, content, calls] of CASES) {
    for (const size of [1, 2, 7, text.length]) {
      assert.deepEqual(read(format, text, size), { content, calls }, `${format} ${text} by ${size}`);
    }
  }
});

test("arguments have the types that their schemas allow, whatever they look like", () => {
  const $defs = { Zip: { type: "string", pattern: "^(?=1)" }, Code: { enum: ["1", "2"] } };
  const cases: readonly (readonly [schema: object, text: string, value: unknown])[] = [
    [{ $ref: "#/$defs/Zip" }, "12345", "12345"],
    [{ $ref: "#/$defs/Zip" }, '"1"', '"1"'],
    [{ $ref: "#/$defs/Code" }, "1", "1"],
    [{ anyOf: [{ $ref: "#/$defs/Zip" }, { type: "null" }] }, "12345", "12345"],
    [{ anyOf: [{ $ref: "#/$defs/Zip" }, { type: "null" }] }, "None", null],
    [{ anyOf: [{ $ref: "#/$defs/Zip" }, { type: "null" }] }, '"a"', "a"],
    [{ type: ["string", "null"] }, "True", "True"],
    [{ oneOf: [{ const: "1" }, { const: "2" }] }, "1", "1"],
    [{ type: "string", not: { const: "x" } }, "null", "null"],
    [{ type: "string", enum: [1, "1"] }, "1", "1"],
    [{ type: ["string", "integer"] }, "1", 1],
    [{ enum: ["1", 2] }, "2", 2],
    [{ type: "boolean" }, "True", true],
    [{ type: "object" }, '{"a": "</parameter></arg_value>"}', { a: "</parameter></arg_value>" }],
    [{ type: "object" }, '{"a":', '{"a":'],
    [{ $ref: "#/$defs/None" }, "1", 1],
  ];
  for (const [schema, text, value] of cases) {
    const parameters = { $ref: "#/$defs/All", $defs: { ...$defs, All: { properties: { v: schema } } } };
    for (const [format, written] of [
      [
        "qwen-coder",
        `<tool_call>\n<function=f>\n<parameter=v>\n${text}\n</parameter>\n</function>\n</tool_call>`,
      ],
      ["glm", `<tool_call>f<arg_key>v</arg_key><arg_value>${text}</arg_value></tool_call>`],
    ] as const) {
      const call = { name: "f", arguments: JSON.stringify({ v: value }) };
      const found = read(format, written, 5, [{ name: "f", parameters }]);
      assert.deepEqual(found, { content: "", calls: [call] }, `${format} ${JSON.stringify(schema)} ${text}`);
    }
  }
});

test("a call whose arguments hold many objects is read in no time, though it comes in small pieces", () => {
  const rows = Array.from({ length: 400 }, (_, i) => `{"id":${i}}`).join();
  const bare = rows.replaceAll('"', "");
  const before = processorMs();
  for (const [format, text] of [
    ["mistral-args", `[TOOL_CALLS]time[ARGS]{"rows":[${rows}]}`],
    ["deepseek-v3.1", `<｜tool▁call▁begin｜>time<｜tool▁sep｜>{"rows":[${rows}]}<｜tool▁call▁end｜>`],
    ["gemma4", `<|tool_call>call:time{rows:[${bare}]}<tool_call|>`],
    ["liquid", `<|tool_call_start|>[time(rows=[${rows}])]<|tool_call_end|>`],
  ] as const) {
    const call = { name: "time", arguments: `{"rows":[${rows}]}` };
    assert.deepEqual(read(format, text, 2), { content: "", calls: [call] });
  }
  assert.ok(processorMs() - before < 1000, `${processorMs() - before} ms`);
});

test("the form is that of the template", () => {
  const none = new Map<string, number>();
  const formOf = (template: string, specialTokens = none): string =>
    findToolFormat({ template, specialTokens }).name;
  assert.equal(formOf("… return a json object within <tool_call></tool_call> tags"), "hermes");
  assert.equal(formOf("{{ '[TOOL_CALLS] [' }}"), "mistral-list");
  assert.equal(formOf("{{ '[TOOL_CALLS]' + name + '[ARGS]' }}"), "mistral-args");
  assert.equal(formOf("<tool_call>\n<function=example_function_name>"), "qwen-coder");
  assert.equal(formOf("<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>"), "glm");
  assert.equal(formOf("<｜tool▁calls▁begin｜>' + name + '\\n' + '```json'"), "deepseek");
  assert.equal(
    formOf("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>'+ name + '<｜tool▁sep｜>'"),
    "deepseek-v3.1",
  );
  assert.equal(formOf("'<TOOLCALL>['"), "nemotron");
  assert.equal(formOf("'<start_function_call>call:' + name"), "function-gemma");
  assert.equal(formOf("'<|tool_call>call:' + name"), "gemma4");
  assert.equal(formOf("'functions.' + name + '<|channel|>commentary '"), "harmony");
  assert.equal(
    formOf('Respond in the format {"name": …, "parameters": …}', new Map([["<|python_tag|>", 1]])),
    "llama3",
  );
  assert.equal(formOf("<|tool_list_start|>[", new Map([["<|tool_call_start|>", 10]])), "liquid");
  assert.equal(formOf("{{ messages }}"), "hermes");
});
